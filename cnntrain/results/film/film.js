// A moment is shown by its number alone: --k moves the strips, and of the texts, one for each moment, that moment's is
// shown.
const slider = document.getElementById("at"), play = document.getElementById("play");
const bars = [...document.querySelectorAll(".bars i")], last = Number(slider.max);
const texts = [...document.querySelectorAll("[data-at]")];
let timer = 0;

function show(k) {
  const at = Math.min(Math.max(k, 0), last);
  document.documentElement.style.setProperty("--k", at);
  slider.value = at;
  for (const text of texts) text.hidden = Number(text.dataset.at) !== at;
  bars.forEach((bar, i) => bar.classList.toggle("now", i === at));
  slider.setAttribute("aria-valuetext", document.querySelector("#told [data-at]:not([hidden])").textContent);
}

function run(on) {
  clearInterval(timer);
  timer = on ? setInterval(() => (Number(slider.value) < last ? show(Number(slider.value) + 1) : run(false)), 350) : 0;
  play.textContent = on ? "Pause" : "Play";
}

slider.addEventListener("input", () => { run(false); show(Number(slider.value)); });
play.addEventListener("click", () => {
  if (!timer && Number(slider.value) === last) show(0);
  run(!timer);
});
document.querySelector(".bars").addEventListener("click", (event) => {
  if (event.target.dataset.k) { run(false); show(Number(event.target.dataset.k)); }
});
document.addEventListener("keydown", (event) => {
  const to = {ArrowLeft: Number(slider.value) - 1, ArrowRight: Number(slider.value) + 1, Home: 0, End: last}[event.key];
  if (to === undefined || event.target === slider || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  run(false);
  show(to);
});
show(last);
