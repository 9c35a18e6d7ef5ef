"use strict";

const STEP_S = 0.5;

for (const film of document.querySelectorAll(".film")) {
  const find = (selector) => film.querySelector(selector);
  const video = find("video"), still = find("canvas"), seek = find(".seek"), play = find(".play");
  const radios = [...film.querySelectorAll("input")];
  const heads = [...film.querySelectorAll(".head")];
  const length = Number(film.dataset.seconds);
  const addresses = new Map();
  let wanted = false, place = 0, loading = 0;

  // A blob can be sought in, also where a data: address cannot; and each is decoded from its text only once.
  function address(radio) {
    const from = radio.hasAttribute("data-muted") ? radios[0] : radio;
    if (!addresses.has(from)) {
      const data = from === radios[0] ? video.getAttribute("src") : from.dataset.video;
      const text = atob(data.slice(data.indexOf(",") + 1));
      const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
      addresses.set(from, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
    }
    return addresses.get(from);
  }

  function show() {
    const now = loading ? place : video.currentTime;
    const share = Math.min(1, now / length) * 100;
    for (const head of heads) head.style.left = `${share}%`;
    find(".time b").textContent = now.toFixed(1);
    seek.setAttribute("aria-valuenow", now.toFixed(1));
    seek.setAttribute("aria-valuetext", `${now.toFixed(1)} seconds`);
    play.querySelector("b").textContent = wanted ? "Pause" : "Play";
    play.querySelector("span").textContent = wanted ? "❚❚" : "▶";
  }

  function follow() {
    show();
    if (wanted) requestAnimationFrame(follow);
  }

  function start() {
    wanted = true;
    document.dispatchEvent(new CustomEvent("film-starts", { detail: film }));
    if (video.ended || place >= length - 0.05) go(0);
    if (!loading) video.play().catch(() => undefined);
    follow();
  }

  function stop() {
    wanted = false;
    video.pause();
    show();
  }

  function go(seconds) {
    place = Math.max(0, Math.min(length, seconds));
    if (!loading) video.currentTime = place;
    show();
  }

  // The last picture stays in front until the next file has its own.
  function freeze() {
    if (video.readyState < 2 || !still.hidden) return;
    still.width = video.videoWidth;
    still.height = video.videoHeight;
    still.getContext("2d").drawImage(video, 0, 0);
    still.hidden = false;
  }

  function load(url) {
    if (!loading) place = video.currentTime;
    freeze();
    const turn = ++load.turn;
    loading = turn;
    video.src = url;
    video.addEventListener("loadedmetadata", () => {
      if (turn === loading) video.currentTime = place;
    }, { once: true });
    video.addEventListener("seeked", () => {
      if (turn !== loading) return;
      loading = 0;
      still.hidden = true;
      if (wanted) video.play().catch(() => undefined);
      show();
    }, { once: true });
  }
  load.turn = 0;

  function choose(radio) {
    video.muted = radio.hasAttribute("data-muted");
    find(".said").textContent = radio.dataset.text;
    if (!radio.hasAttribute("data-truth")) {
      const picture = find("img.chosen");
      picture.src = radio.dataset.scope;
      picture.alt = `Spectrogram of ${radio.dataset.name}`;
      find(".label.chosen").textContent = radio.dataset.name;
    }
    const url = address(radio);
    if (video.src !== url) load(url);
  }

  video.controls = false;
  video.addEventListener("click", () => (wanted ? stop() : start()));
  video.addEventListener("ended", stop);
  video.addEventListener("timeupdate", () => { if (!loading) place = video.currentTime; show(); });
  video.addEventListener("error", () => { find(".trouble").hidden = false; stop(); });
  play.addEventListener("click", () => (wanted ? stop() : start()));
  document.addEventListener("film-starts", (event) => { if (event.detail !== film && wanted) stop(); });
  for (const radio of radios) radio.addEventListener("change", () => choose(radio));

  seek.addEventListener("pointerdown", (event) => {
    const box = find(".scope").getBoundingClientRect();
    go(((event.clientX - box.left) / box.width) * length);
  });
  seek.addEventListener("keydown", (event) => {
    const keys = {
      ArrowLeft: () => go(place - STEP_S), ArrowDown: () => go(place - STEP_S), ArrowRight: () => go(place + STEP_S),
      ArrowUp: () => go(place + STEP_S), Home: () => go(0), End: () => go(length), " ": () => (wanted ? stop() : start()),
    };
    if (!(event.key in keys) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    keys[event.key]();
  });

  choose(radios.find((radio) => radio.checked) || radios[0]); // a browser may remember what was chosen before
}
