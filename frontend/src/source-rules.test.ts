import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

declare const SOURCE_DIRECTORY: string;

const sources = readdirSync(SOURCE_DIRECTORY, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.tsx?$/.test(name) && !/\.test\.tsx?$/.test(name))
  .map((name) => ({ name, text: readFileSync(path.join(SOURCE_DIRECTORY, name), 'utf8') }));

const waysToHtml = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|setHTML/;

test('text never becomes HTML: no source file uses a way to do that', () => {
  assert.ok(sources.length > 15);
  for (const { name, text } of sources) assert.doesNotMatch(text, waysToHtml, name);
});

test('only the re-reading of the own page parses a document', () => {
  const parsing = sources.filter(({ text }) => text.includes('DOMParser')).map(({ name }) => name);
  assert.deepEqual(parsing, ['relist.ts']);
});

test('only the feed knows the WAMP library', () => {
  const knowing = sources.filter(({ text }) => /from 'wampy'/.test(text)).map(({ name }) => name);
  assert.deepEqual(knowing, ['wamp-feed.ts']);
});

test('the pure modules touch neither document, window, clock nor chance', () => {
  for (const pure of ['sample.ts', 'configuration.ts', 'page-data.ts', 'store.ts', 'history.ts', 'freshness.ts']) {
    const source = sources.find(({ name }) => name === pure);
    assert.ok(source, pure);
    assert.doesNotMatch(source.text, /\b(document|window|Date\.now|performance|Math\.random)\b/, pure);
  }
});

test('the lock file names no registry, so that any may serve it', () => {
  const lock = readFileSync(path.join(SOURCE_DIRECTORY, '../package-lock.json'), 'utf8');
  assert.doesNotMatch(lock, /"resolved": "[a-z+]+:/);
});
