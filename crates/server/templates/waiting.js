"use strict";
// Looks how things stand, and moves on only when there is something else to show, so that nobody loses what
// they have selected or are about to press. Who has scripts switched off gets the page anew each time.
const waiting = document.getElementById("waiting");
const timeLeft = document.getElementById("time-left");
const codeOf = (page) => page.querySelector("#waiting code")?.textContent;
let lookAfter = Number(waiting.dataset.lookAfter);
let isLeaving = false;
let timer;

async function look() {
  try {
    const answer = await fetch("?waiting");
    // A failure, or a proxy that wants fewer requests, says nothing about the code.
    if (answer.status < 500 && answer.status !== 429) compare(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // There is no network: the next time there may be.
  }
  lookLater();
}

function compare(page) {
  if (isLeaving) return;
  if (codeOf(page) !== codeOf(document)) {
    isLeaving = true;
    location.replace("?waiting");
    return;
  }
  timeLeft.textContent = page.getElementById("time-left").textContent;
  lookAfter = Number(page.getElementById("waiting").dataset.lookAfter);
}

function lookLater() {
  clearTimeout(timer);
  if (!isLeaving) timer = setTimeout(look, lookAfter * 1000);
}

// Browsers put off what hidden pages do: who comes back from the provider sees at once how it went.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !isLeaving) void look();
});
document.querySelector("form").addEventListener("submit", () => { isLeaving = true; });
// The page that a browser has kept and shows once more goes on to look.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  isLeaving = false;
  void look();
});
lookLater();

const copy = document.getElementById("copy");
// Browsers let a page copy over TLS only, and on the machine itself.
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    const said = await navigator.clipboard.writeText(codeOf(document)).then(() => "Copied.", () => "Select the code to copy it.");
    document.getElementById("copied").textContent = said;
  });
}
