const dark = matchMedia('(prefers-color-scheme: dark)');
const shade = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', shade);
shade();

SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#api',
  deepLinking: true,
  filter: true,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  // A key that was pasted goes with the page.
  persistAuthorization: false,
  // It would send the document's address to somebody else.
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis],
});
