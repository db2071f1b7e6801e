"use strict";
// Who presses again while the first form is still on its way would find that the link was used, and would not
// get to see how it went. After a while it may have been lost, and can be sent anew.
let sentAt = -Infinity;
document.querySelector("form").addEventListener("submit", (event) => {
  if (event.timeStamp - sentAt < 10_000) event.preventDefault();
  else sentAt = event.timeStamp;
});
