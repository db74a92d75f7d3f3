"use strict";
(function () {
  var data = JSON.parse(document.getElementById("frames").textContent);
  var slider = document.getElementById("epoch");
  var shown = document.getElementById("shown");
  var play = document.getElementById("play");
  var images = document.querySelectorAll("img.film");
  var timer = null;

  function show() {
    var epoch = data.epochs[Number(slider.value)];
    shown.textContent = epoch;
    slider.setAttribute("aria-valuetext", "Epoch " + epoch);
    data.films.forEach(function (film, index) {
      var at = 0; // the last frame up to that epoch
      while (at + 1 < film.epochs.length && film.epochs[at + 1] <= epoch) at += 1;
      if (images[index].src !== film.frames[at]) images[index].src = film.frames[at];
      images[index].alt = film.name + " of " + film.run + ", epoch " + film.epochs[at];
    });
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-pressed", "false");
  }

  function step() {
    if (Number(slider.value) >= Number(slider.max)) return stop();
    slider.value = Number(slider.value) + 1;
    show();
  }

  play.hidden = data.epochs.length < 2;
  play.addEventListener("click", function () {
    if (timer !== null) return stop();
    if (Number(slider.value) >= Number(slider.max)) slider.value = 0;
    show();
    play.textContent = "Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(step, 200);
  });
  slider.addEventListener("input", function () {
    if (timer !== null) stop();
    show();
  });
})();
