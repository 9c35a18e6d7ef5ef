"""Real video files for tests, made by ffmpeg; whole ones and broken ones."""
