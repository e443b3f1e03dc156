const WIDTH = 30;

/** A bar on the terminal's error output; nothing where that is a file or a pipe. */
export function progressBar(what: string): { show: (share: number) => void; end: () => void } {
  const { stderr } = process;
  const show = (share: number) => {
    const done = Math.round(Math.min(1, Math.max(0, share)) * WIDTH);
    const bar = '█'.repeat(done) + '░'.repeat(WIDTH - done);
    if (stderr.isTTY) stderr.write(`\r${bar} ${Math.round((done / WIDTH) * 100)} % of ${what}`);
  };
  return {
    show,
    end() {
      show(1);
      if (stderr.isTTY) stderr.write('\n');
    },
  };
}
