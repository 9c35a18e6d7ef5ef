"""Tests of v2a.youtube8m: real records, a real HTTP server, real videos."""
