import { desk } from './desk.ts';
import { refuseUngranted } from './refuse-ungranted.ts';

export const endpoints = [{ name: 'desk-actions', config: { id: 'desk', handler: desk } }];
export const hooks = [{ name: 'desk-grants', config: refuseUngranted }];
export const operations = [];
