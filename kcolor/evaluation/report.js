// === The photos: one is shown large, beside the grey one and the truth ===

const zoom = document.getElementById("zoom");
let current;

function show(photo) {
  current = photo;
  const row = photo.closest(".row");
  const all = row.querySelectorAll("img");
  const sources = [photo.firstElementChild, all[0], all[all.length - 1]];
  zoom.querySelectorAll("img").forEach((image, place) => {
    image.src = sources[place].src;
  });
  const { title, error } = photo.dataset;
  zoom.querySelector("figcaption").textContent =
    error ? `${title}, rmse_ab ${error}` : title;
  zoom.querySelector("p").textContent = row.dataset.name;
}

for (const photo of document.querySelectorAll(".photo")) {
  photo.addEventListener("click", () => {
    show(photo);
    zoom.showModal();
  });
}

zoom.addEventListener("keydown", (event) => {
  const row = current.closest(".row").querySelectorAll(".photo").length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row };
  if (event.key in steps) {
    event.preventDefault();
    const all = current.closest("details, section").querySelectorAll(".photo");
    const next = [...all].indexOf(current) + steps[event.key];
    show(all[(next + all.length) % all.length]);
  }
});

zoom.addEventListener("close", () => current.focus());
zoom.addEventListener("click", (event) => {
  if (event.target === zoom) zoom.close();  // beside the photos
});
