"use strict";
// Tells the page that opened this one how it went, if its origin is one that the account has named; if it
// has named none, any. Nothing of this is secret.
const { secret, error, description, origins } = document.getElementById("done").dataset;
if (window.opener) {
  const params = { error, error_description: description, secretId: secret };
  for (const origin of (origins || "*").split(" ")) {
    window.opener.postMessage({ type: "oauth", params }, origin);
  }
  if (!error) window.close();
}
