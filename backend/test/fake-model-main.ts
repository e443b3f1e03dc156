import { parseArgs } from 'node:util';
import { startFakeModel } from './fake-model.ts';

// Usage: node backend/test/fake-model-main.ts --port 8090
const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const model = await startFakeModel({ port: Number(values.port) });
process.stdout.write(`${model.url}\n`);
