const css = `
.desk-session, .desk-card, .desk-button { --desk-faint: color-mix(in srgb, var(--theme--foreground) 88%, transparent); }
.desk-session { display: grid; grid-template-columns: minmax(0, 5fr) minmax(240px, 3fr); gap: 20px; align-items: start; }
@media (max-width: 1100px) { .desk-session { grid-template-columns: minmax(0, 1fr); } }
.desk-conversation { border: var(--theme--border-width) solid var(--theme--border-color); border-radius: var(--theme--border-radius); overflow: hidden; }
.desk-thread { display: flex; flex-direction: column; gap: 10px; height: 58vh; min-height: 320px; overflow: auto; padding: 16px; background: var(--theme--background-subdued); }
.desk-bubble { max-width: 88%; min-width: 200px; align-self: flex-start; padding: 8px 12px; border-radius: 12px; background: var(--theme--background); border: 1px solid var(--theme--border-color); }
.desk-bubble.assistant { align-self: flex-end; background: var(--theme--primary-background); border-color: transparent; }
.desk-bubble.operator { align-self: flex-end; background: var(--theme--warning-background); border-color: transparent; }
.desk-bubble.system, .desk-bubble.tool { align-self: center; font-style: italic; }
.desk-bubble-head, .desk-facts, .desk-part-head, .desk-tools { display: flex; flex-wrap: wrap; align-items: center; gap: 4px 10px; }
.desk-bubble-head, .desk-facts, .desk-part-head span { font-size: 12px; color: var(--desk-faint); }
.desk-bubble-head b, .desk-part-head b { color: var(--theme--foreground-accent); font-weight: 600; }
.desk-words { white-space: pre-wrap; overflow-wrap: anywhere; color: var(--theme--foreground); }
.desk-tools { margin-top: 4px; }
.desk-button { display: inline-flex; align-items: center; gap: 6px; padding: 4px 12px; min-height: 30px; border-radius: var(--theme--border-radius); background: var(--theme--background-normal); color: var(--theme--foreground); font-size: 13px; font-weight: 600; line-height: 1.3; }
.desk-button:hover { background: var(--theme--background-accent); }
.desk-button:focus-visible, .desk-importance select:focus-visible { outline: 2px solid var(--theme--primary); }
.desk-button:disabled { opacity: 0.5; cursor: not-allowed; }
.desk-button.primary { background: var(--theme--primary); color: #fff; }
.desk-button.danger { background: var(--theme--danger-background); color: color-mix(in srgb, var(--theme--danger) 45%, var(--theme--foreground-accent)); }
.desk-button.quiet { padding: 2px 6px; min-height: 24px; background: transparent; font-weight: 500; font-size: 12px; color: var(--desk-faint); }
.desk-button.quiet:hover { color: var(--theme--foreground-accent); background: var(--theme--background-accent); }
.desk-actions .desk-button.quiet, .desk-actions .desk-button.danger { font-size: 13px; padding: 4px 12px; min-height: 30px; }
.desk-importance { display: inline-flex; gap: 4px; align-items: center; font-size: 12px; color: var(--desk-faint); }
.desk-importance select { background: transparent; color: inherit; border: 1px solid var(--theme--border-color); border-radius: 4px; padding: 1px 2px; }
.desk-importance option { background: var(--theme--background); color: var(--theme--foreground); }
.desk-card, .desk-side { display: flex; flex-direction: column; gap: 10px; }
.desk-card { padding: 14px; border: var(--theme--border-width) solid var(--theme--border-color); border-radius: var(--theme--border-radius); }
.desk-card.desk-tools, .desk-actions { flex-direction: row; flex-wrap: wrap; }
.desk-side { gap: 14px; }
.desk-session em, .desk-card em { font-style: normal; font-size: 11px; padding: 1px 7px; border-radius: 9px; background: var(--theme--background-normal); color: var(--theme--foreground); }
.desk-session em.failed, .desk-card em.failed { background: var(--theme--danger-background); color: color-mix(in srgb, var(--theme--danger) 45%, var(--theme--foreground-accent)); }
.desk-session em.uncertain, .desk-session em.operator, .desk-session em.cancelled { background: var(--theme--warning-background); color: color-mix(in srgb, var(--theme--warning) 45%, var(--theme--foreground-accent)); }
.desk-session em.sent, .desk-session em.open, .desk-card em.open { background: var(--theme--success-background); color: color-mix(in srgb, var(--theme--success) 45%, var(--theme--foreground-accent)); }
.desk-session blockquote, .desk-card blockquote { margin: 0; padding: 4px 0 4px 10px; border-left: 3px solid var(--theme--border-color); white-space: pre-wrap; overflow-wrap: anywhere; font-size: 13px; color: var(--theme--foreground); max-height: 320px; overflow: auto; }
.desk-session textarea { width: 100%; resize: vertical; padding: 8px 10px; border: var(--theme--border-width) solid var(--theme--border-color); border-radius: var(--theme--border-radius); background: var(--theme--background); color: var(--theme--foreground); font: inherit; }
.desk-composer { display: flex; gap: 10px; align-items: flex-end; padding: 12px; background: var(--theme--background); border-top: var(--theme--border-width) solid var(--theme--border-color); }
.desk-composer textarea { flex: 1; }
.desk-empty { padding: 12px; color: var(--theme--foreground); text-align: center; }
.desk-warning { color: var(--theme--danger); font-size: 13px; overflow-wrap: anywhere; }
.desk-context { display: flex; flex-direction: column; gap: 8px; margin-top: 8px; padding-top: 8px; border-top: 1px dashed var(--theme--border-color); }
.desk-part-head > i { width: 9px; height: 9px; border-radius: 3px; background: var(--theme--border-color); }
.desk-part blockquote { margin-top: 4px; }
.desk-memory { margin: 6px 0 0 14px; }
.desk-meter { display: flex; height: 8px; border-radius: 4px; overflow: hidden; background: var(--theme--background-normal); }
.desk-meter > i { flex-basis: 0; }
i.instruction { background: #7d8ca3 !important; } i.summary { background: #1f9d78 !important; } i.window { background: #2f7fe0 !important; } i.recalled { background: #d9822b !important; } i.message { background: #6d4aff !important; }
.desk-row { display: flex; gap: 12px; padding: 6px 0; align-items: center; }
/* Directus cuts what hangs below the line. */
.v-table .cell > * { line-height: 1.6; }
.desk-dialog { max-width: 480px; }
`;

/** Once for the whole app; in Directus' own colours, so that it follows light and dark. */
export function addStyle(): void {
  if (document.getElementById('desk-style') !== null) return;
  const style = document.createElement('style');
  style.id = 'desk-style';
  style.textContent = css;
  document.head.append(style);
}
