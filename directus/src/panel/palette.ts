export const green = '#1F9D78';
export const red = '#D6455D';
export const blue = '#2F7FE0';
export const purple = '#6D4AFF';
export const orange = '#D9822B';
export const grey = '#7D8CA3';
