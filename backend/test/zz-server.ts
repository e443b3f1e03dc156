import { startPostgres } from './postgres-server.ts';
const s = await startPostgres();
console.log(s.url, s.cluster.folder);
process.on('SIGTERM', () => void s.stop().then(() => process.exit(0)));
setInterval(() => {}, 1000);
