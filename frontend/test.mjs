// Bundles src/**/*.test.ts, because Node 20 reads no TypeScript, and runs them with Node's own test runner.
import { readdir, rm } from 'node:fs/promises';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import * as esbuild from 'esbuild';

const here = path.dirname(fileURLToPath(import.meta.url));
const output = path.join(here, 'node_modules/.cache/heliograph-tests');
const names = await readdir(path.join(here, 'src'), { recursive: true });
const tests = names.filter((name) => /\.test\.tsx?$/.test(name)).sort();

await rm(output, { recursive: true, force: true });
await esbuild.build({
  absWorkingDir: path.join(here, 'src'),
  entryPoints: tests,
  outdir: output,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  jsx: 'automatic',
  jsxImportSource: 'preact',
  external: ['wampy'],
  sourcemap: 'inline',
  define: { SOURCE_DIRECTORY: JSON.stringify(path.join(here, 'src')) },
  logLevel: 'warning',
});
const files = tests.map((name) => path.join(output, name.replace(/\.tsx?$/, '.mjs')));
const runner = spawn(process.execPath, ['--enable-source-maps', '--test', ...files], { stdio: 'inherit' });
runner.on('exit', (code) => {
  process.exitCode = code ?? 1;
});
