"use strict";
for (const copy of document.querySelectorAll("img[data-copy]")) {
  copy.src = document.getElementById(copy.dataset.copy).src;
}

const dialog = document.querySelector("dialog");
let shown;

function show(button) {
  const image = button.querySelector("img").cloneNode();
  image.removeAttribute("id");
  image.removeAttribute("data-copy");
  const frame = dialog.querySelector(".frame");
  frame.replaceChildren(image);
  frame.classList.toggle("pixelated", button.classList.contains("pixelated"));
  dialog.querySelector(".what").textContent = image.alt;
  const lines = [...button.closest(".entry").querySelectorAll("p")].map((line) => line.textContent);
  dialog.querySelector(".fared").textContent = lines.join("; ");
  dialog.querySelector(".how").textContent = button.dataset.about;
  shown = button;
}

function step(by) {
  const all = [...shown.closest("[data-case]").querySelectorAll("button.picture")];
  show(all[(all.indexOf(shown) + by + all.length) % all.length]);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button.picture");
  if (button) {
    show(button);
    dialog.showModal();
  } else if (event.target === dialog || event.target.closest("[data-close]")) {
    dialog.close();
  } else if (event.target.closest("[data-step]")) {
    step(Number(event.target.closest("[data-step]").dataset.step));
  }
});

dialog.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (by) {
    event.preventDefault();
    step(by);
  }
});

dialog.addEventListener("close", () => shown.focus());
