/** What the page accepts from machines it does not trust. Everything above is cut or refused, and counted. */
export const limits = {
  machines: 2000,
  cores: 256,
  disks: 64,
  errors: 16,
  nameCharacters: 128,
  historyPoints: 240,
  historySpanMs: 120_000,
  /** Samples closer together than this replace each other in the history. */
  historySpacingMs: 400,
  /** Actions that wait for the next frame; beyond this they are worked off at once. */
  waitingActions: 512,
} as const;
