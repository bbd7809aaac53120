/** The page in production: the server's embedded list, the router's feed. */
import './styles/dashboard.css';
import { start } from './app';
import { embeddedId, parsePage } from './page-data';
import { fetchPage } from './relist';
import { WampFeed } from './wamp-feed';

const root = document.getElementById('dashboard');
const embedded = document.getElementById(embeddedId)?.textContent;
if (root === null || !embedded) throw new Error(`the page needs <main id="dashboard"> and the JSON script #${embeddedId}`);

const page = parsePage(embedded);
const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
const feed = new WampFeed({
  url: `${scheme}://${location.host}${page.websocketPath}`,
  realm: page.realm,
  socket: WebSocket,
});
addEventListener('online', () => feed.wake());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) feed.wake();
});
setInterval(() => {
  if (!document.hidden) feed.check();
}, 10_000);
start({ root, page, feed, fetchPage });
