"use strict";

const $ = (id) => document.getElementById(id);
const UNSURE = 0.5;
let segments = []; // {start, end, node}: what lights up while it is heard

const headers = () => ($("token").value ? { Authorization: `Bearer ${$("token").value}` } : {});

function say(text, isError = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", isError);
}

async function describe() {
  const response = await fetch("/v1/card", { headers: headers() });
  $("token-form").hidden = response.status !== 401;
  if (!response.ok) return say((await response.json()).detail, response.status !== 401);
  const card = await response.json();
  $("title").textContent = card.summary;
  const millions = (card.parameters.all / 1e6).toFixed(2);
  $("about").textContent = `${card.problem}, ${card.checkpoint}, ${millions} M parameters`;
  say("");
}

async function predict(blob) {
  say("computing …");
  $("output").hidden = true;
  const response = await fetch("/v1/predict", {
    method: "POST",
    headers: { ...headers(), "Content-Type": blob.type || "application/octet-stream" },
    body: blob,
  });
  const answer = await response.json();
  if (!response.ok) return say(answer.detail, true);
  say("");
  show(blob, answer);
}

function segmentButton(kind, own) {
  const node = document.createElement("button");
  node.type = "button";
  node.className = kind;
  const sure = own.confidence === undefined ? "" : `, confidence ${own.confidence.toFixed(2)}`;
  node.title = `${own.text}: ${own.start.toFixed(2)} to ${own.end.toFixed(2)} s${sure}`;
  if (own.confidence < UNSURE) node.classList.add("unsure");
  node.addEventListener("click", () => {
    $("player").currentTime = own.start;
    $("player").play();
  });
  segments.push({ start: own.start, end: own.end, node });
  return node;
}

function show(blob, answer) {
  segments = [];
  URL.revokeObjectURL($("player").src);
  $("player").src = URL.createObjectURL(blob);
  for (const id of ["text", "timeline", "labels"]) $(id).replaceChildren();
  for (const word of answer.words || answer.phones || []) {
    const node = segmentButton("word", word);
    node.textContent = word.text;
    $("text").append(node, " ");
  }
  if (!segments.length) $("text").textContent = answer.label ?? answer.text ?? answer.value ?? "";
  showTurns(answer.turns || [], answer.seconds);
  showLabels(answer.probabilities || {});
  $("json").textContent = JSON.stringify(answer, null, 2);
  $("output").hidden = false;
}

function showTurns(turns, seconds) {
  for (const speaker of [...new Set(turns.map((turn) => turn.text))].sort()) {
    const lane = document.createElement("div");
    lane.className = "lane";
    const name = document.createElement("span");
    name.textContent = speaker;
    lane.append(name);
    for (const turn of turns.filter((own) => own.text === speaker)) {
      const node = segmentButton("turn", turn);
      node.style.setProperty("left", `${(100 * turn.start) / seconds}%`);
      node.style.setProperty("width", `${(100 * (turn.end - turn.start)) / seconds}%`);
      lane.append(node);
    }
    $("timeline").append(lane);
  }
}

function showLabels(probabilities) {
  for (const [label, probability] of Object.entries(probabilities).slice(0, 10)) {
    const row = $("labels").insertRow();
    row.insertCell().textContent = label;
    const meter = document.createElement("meter");
    meter.value = probability;
    row.insertCell().append(meter);
    row.insertCell().textContent = `${(100 * probability).toFixed(1)} %`;
  }
}

function follow() {
  const now = $("player").currentTime;
  for (const own of segments) own.node.classList.toggle("now", own.start <= now && now < own.end);
  if (!$("player").paused) requestAnimationFrame(follow);
}

// A wav of what the microphone gives, since a browser's own recorder writes formats that few readers know.
function wavOf(chunks, rate) {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, word) => [...word].forEach((letter, n) => view.setUint8(at + n, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt "); view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * length, true);
  let at = 44;
  for (const chunk of chunks)
    for (const sample of chunk) {
      view.setInt16(at, Math.max(-1, Math.min(1, sample)) * 32767, true);
      at += 2;
    }
  return new Blob([view], { type: "audio/wav" });
}

let stopRecording = null;

async function record() {
  if (stopRecording) return stopRecording();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext();
  const source = context.createMediaStreamSource(stream);
  const node = context.createScriptProcessor(4096, 1, 1);
  const chunks = [];
  node.onaudioprocess = (event) => chunks.push(new Float32Array(event.inputBuffer.getChannelData(0)));
  source.connect(node);
  node.connect(context.destination);
  $("record").textContent = "stop";
  say("recording …");
  stopRecording = () => {
    stopRecording = null;
    $("record").textContent = "record";
    node.disconnect();
    stream.getTracks().forEach((track) => track.stop());
    context.close();
    attempt(predict(wavOf(chunks, context.sampleRate)));
  };
}

const attempt = (action) => action.catch((error) => say(String(error), true));

$("token-form").addEventListener("submit", (event) => { event.preventDefault(); attempt(describe()); });
$("file").addEventListener("change", (event) => event.target.files[0] && attempt(predict(event.target.files[0])));
$("record").addEventListener("click", () => attempt(Promise.resolve(record())));
$("player").addEventListener("play", follow);
$("player").addEventListener("seeked", follow);
for (const kind of ["dragover", "dragleave", "drop"])
  $("drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) attempt(predict(event.dataTransfer.files[0]));
  });
attempt(describe());
