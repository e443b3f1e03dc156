import { desk } from './desk.ts';
import { refuseFlows } from './refuse-flows.ts';
import { refuseUngranted } from './refuse-ungranted.ts';

export const endpoints = [{ name: 'desk-actions', config: { id: 'desk', handler: desk } }];
export const hooks = [
  { name: 'desk-grants', config: refuseUngranted },
  { name: 'desk-flows', config: refuseFlows },
];
export const operations = [];
