// A photo that somebody chose, dropped or pasted.

export { prepared } from "./prepare.js";

/** The first image among what was dropped or pasted, or null; `onSeveral` is called where there are more. */
function imageIn(transfer, onSeveral) {
  const files = [...(transfer?.files ?? [])];
  const images = files.filter((file) => file.type.startsWith("image/"));
  if (images.length > 1) onSeveral();
  return images[0] ?? files[0] ?? null;
}

/** Text that is dragged into a field is the field's. */
const isTyped = ({ target, dataTransfer }) => !dataTransfer.types.includes("Files") && Boolean(target.closest?.("input, textarea"));

/** Call `take` with each photo that is chosen, taken, pasted or dropped; `onNone` where something else was dropped. */
export function onPhoto(form, take, { onSeveral, onNone }) {
  for (const input of form.querySelectorAll("#file, #camera")) {
    input.addEventListener("change", () => {
      take(input.files[0]);
      input.value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const file = imageIn(event.clipboardData, onSeveral);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  const dragging = (on) => document.documentElement.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => {
    if (isTyped(event)) return;
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || dragging(false));
  document.addEventListener("drop", (event) => {
    dragging(false);
    if (isTyped(event)) return;
    event.preventDefault();
    const file = imageIn(event.dataTransfer, onSeveral);
    if (file) take(file);
    else onNone();
  });
}

/** The address of a photo with what the foreground head passes over faded; empty where nobody answers: the results say so. */
export async function salient(blob, box) {
  const data = new FormData();
  data.append("photo", blob, "photo");
  if (box) data.append("box", box.join(","));
  try {
    const response = await fetch(`${document.documentElement.dataset.root}/v1/saliency`, { method: "POST", body: data });
    return response.ok ? URL.createObjectURL(await response.blob()) : "";
  } catch {
    return "";
  }
}

/** Put a photo into a field for files, as if somebody had chosen it. */
export function fileInto(input, { blob }) {
  const files = new DataTransfer();
  files.items.add(new File([blob], "photo"));
  input.files = files.files;
}

/** A photo that a page carries in base64. */
export const blobOf = (base64) => new Blob([Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))]);
