/** A blurred copy of the picture behind it, for a broadcast that is wider than the stage. */

const DRAW_MS = 700;

/**
 * @param {HTMLVideoElement} video
 * @param {HTMLCanvasElement} canvas a few pixels; the style sheet blurs it
 * @param {HTMLElement} stage gets data-shape "wide" or "tall"
 */
export function backdrop(video, canvas, stage) {
  const pen = canvas.getContext("2d");
  const shape = () => {
    stage.dataset.shape = video.videoWidth > video.videoHeight * 0.9 ? "wide" : "tall";
  };
  video.addEventListener("loadedmetadata", shape);
  video.addEventListener("resize", shape);
  setInterval(() => {
    if (document.hidden || video.readyState < 2 || stage.dataset.shape !== "wide") return;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
  }, DRAW_MS);
}
