// How figures are written.

/** @param {number | undefined | null} value */
export const percent = (value) => (value === undefined || value === null ? '-' : `${shown(value * 100)} %`);

/** @param {number | undefined | null} value */
export function shown(value) {
  if (value === undefined || value === null || Number.isNaN(value)) {
    return '-';
  }
  return Number.isInteger(value) || Math.abs(value) >= 100 ? String(Math.round(value)) : value.toFixed(2);
}
