// A photo that somebody chose, dropped or pasted.

export { prepared } from "./prepare.js";

/** The first image among what was dropped or pasted, or null. */
function imageIn(transfer) {
  const files = [...(transfer?.files ?? [])];
  return files.find((file) => file.type.startsWith("image/")) ?? files[0] ?? null;
}

/** Call `take` with each photo that is chosen, taken, pasted or dropped. */
export function onPhoto(form, take) {
  for (const input of form.querySelectorAll("#file, #camera")) {
    input.addEventListener("change", () => {
      take(input.files[0]);
      input.value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const file = imageIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    take(file);
  });
  const dragging = (on) => document.documentElement.classList.toggle("dragging", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    dragging(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || dragging(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    take(imageIn(event.dataTransfer));
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
