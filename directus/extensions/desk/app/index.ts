import { desk } from './desk.ts';
import { deskTable } from './desk-table.ts';

export const interfaces = [desk];
export const layouts = [deskTable];
