// Builds the dashboard into the Django app's static files. `--watch` builds again on every change.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import * as esbuild from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const output = path.join(here, '../src/heliograph/monitor/static/heliograph_monitor/dashboard');
const budgetBytes = 60 * 1024;
const watching = process.argv.includes('--watch');

const licenses = {
  name: 'licenses',
  setup(build) {
    build.onEnd(async ({ metafile, errors }) => {
      if (errors.length > 0) return;
      await mkdir(output, { recursive: true });
      await writeFile(path.join(output, 'third-party-licenses.txt'), await licensesOf(metafile));
    });
  },
};

/** The licence texts of the packages that went into the bundle. */
async function licensesOf(metafile) {
  const packages = new Set();
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (found) packages.add(found[1]);
  }
  const texts = [];
  for (const name of [...packages].sort()) {
    const folder = path.join(here, 'node_modules', name);
    const { version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
    const text = await readFile(path.join(folder, 'LICENSE'), 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return `${license}\n`;
      throw error;
    });
    texts.push(`${name} ${version}\n\n${text}`);
  }
  return texts.join(`\n${'-'.repeat(72)}\n\n`);
}

const options = {
  absWorkingDir: here,
  entryPoints: { dashboard: 'src/main.tsx' },
  outdir: output,
  bundle: true,
  format: 'esm',
  target: ['es2022', 'chrome123', 'firefox120', 'safari17.5'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  minify: !watching,
  sourcemap: watching ? 'linked' : false,
  metafile: true,
  legalComments: 'none',
  banner: { js: '/* Heliograph dashboard. Licences of what it contains: third-party-licenses.txt */' },
  logLevel: 'info',
  plugins: [licenses],
};

if (watching) {
  const context = await esbuild.context(options);
  await context.watch();
} else {
  await esbuild.build(options);
  let total = 0;
  for (const name of ['dashboard.js', 'dashboard.css']) {
    total += gzipSync(await readFile(path.join(output, name)), { level: 9 }).length;
  }
  console.log(`gzipped: ${(total / 1024).toFixed(1)} KiB of ${budgetBytes / 1024}`);
  if (total > budgetBytes) {
    console.error('The bundle is over its budget.');
    process.exitCode = 1;
  }
}
