// Serves the page with invented machines: `npm run demo`, then http://127.0.0.1:8090/12 shows twelve.
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import * as esbuild from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const port = Number(process.env.PORT ?? 8090);
const context = await esbuild.context({
  entryPoints: { demo: path.join(here, 'demo.tsx') },
  outdir: here,
  bundle: true,
  write: false,
  format: 'esm',
  jsx: 'automatic',
  jsxImportSource: 'preact',
});
const policy = "default-src 'self'; connect-src 'self' ws: wss:; style-src 'self'; object-src 'none'; base-uri 'none'";

function page(count) {
  const clients = Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    client: index === 2 ? null : `${['web', 'db', 'cache', 'build'][index % 4]}-${Math.floor(index / 4) + 1}`,
    ip: `192.0.2.${(index % 250) + 1}`,
    name: `host ${index + 1}`,
    show_cpus: true,
    show_memory: index !== 5,
    show_disk: true,
    disabled: index === 11,
    frequency: index === 4 ? 5 : 1,
    last_seen_s: index === 3 ? Date.now() / 1000 - 90_000 : null,
  }));
  const dashboard = {
    websocket_path: '/ws',
    realm: 'realm1',
    server_time_s: Date.now() / 1000,
    admin_url: '/admin/heliograph_monitor/client/',
    clients,
  };
  const json = JSON.stringify(dashboard).replaceAll('<', '\\u003c');
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Heliograph</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/demo.css">
<script type="module" src="/demo.js"></script></head><body><main id="dashboard"></main>
<script type="application/json" id="heliograph-dashboard">${json}</script></body></html>`;
}

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  const asset = /^\/demo\.(js|css)$/.exec(pathname);
  if (asset) {
    const { outputFiles } = await context.rebuild();
    const file = outputFiles.find((output) => output.path.endsWith(asset[0]));
    response.setHeader('Content-Type', asset[1] === 'js' ? 'text/javascript' : 'text/css');
    response.end(file.contents);
  } else if (/^\/\d*$/.test(pathname)) {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.setHeader('Content-Security-Policy', policy);
    response.end(page(Number(pathname.slice(1) || 4)));
  } else {
    response.statusCode = 404;
    response.end();
  }
});
server.listen(port, '127.0.0.1', () => console.log(`Demonstration: http://127.0.0.1:${server.address().port}/12`));
