// The page asks for what has changed, and puts it where it belongs; it turns no text into markup itself.
const place = document.getElementById("sections"), told = document.getElementById("told"), shown = new Map();
const token = new URLSearchParams(location.search).get("token");
const run = () => new URLSearchParams(location.search).get("run") ?? "";
let asked = 0;

async function look() {
  const number = ++asked;
  try {
    const answer = await fetch(`state?${new URLSearchParams({run: run()})}`, {headers: {"X-Token": token}, cache: "no-store"});
    if (!answer.ok) throw new Error(await answer.text());
    const {title, sections} = await answer.json();
    if (number !== asked) return;
    document.title = document.querySelector("h1").textContent = title;
    show(sections);
    told.textContent = "";
  } catch (error) {
    if (number !== asked) return;
    told.textContent = error instanceof TypeError
      ? "No answer: training or the server has ended, or the tunnel is closed. Below is what was last received."
      : error.message;
  }
  setTimeout(() => { if (number === asked) look(); }, document.hidden ? 5000 : 1500);
}

// Replace the sections that have changed; what a reader has unfolded stays so.
function show(sections) {
  const names = sections.map(([name]) => name);
  for (const child of [...place.children]) if (!names.includes(child.dataset.name)) { child.remove(); shown.delete(child.dataset.name); }
  sections.forEach(([name, text], index) => {
    let part = [...place.children].find((child) => child.dataset.name === name);
    if (!part) {
      part = document.createElement("div");
      part.dataset.name = name;
    }
    if (place.children[index] !== part) place.insertBefore(part, place.children[index] ?? null);
    if (shown.get(name) === text) return;
    const open = [...part.querySelectorAll("details")].map((one) => one.open);
    part.innerHTML = text;
    part.querySelectorAll("details").forEach((one, i) => { one.open = open[i] ?? one.open; });
    shown.set(name, text);
  });
}

place.addEventListener("click", (event) => {
  const link = event.target.closest("[data-run]");
  if (!link) return;
  event.preventDefault();
  const next = new URLSearchParams({token, ...(link.dataset.run ? {run: link.dataset.run} : {})});
  history.pushState(null, "", `?${next}`);
  scrollTo(0, 0);
  look();
});
addEventListener("popstate", look);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
look();
