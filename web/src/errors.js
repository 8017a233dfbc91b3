/**
 * What the user can mend: the rule, what was given, the likely cause, the way out.
 * The same four parts as `tinytimbre.errors.TinyTimbreError` in Python.
 */
export class TinyTimbreError extends Error {
  /**
   * @param {string} rule
   * @param {{got?: string, cause?: string, remedy?: string}} [details]
   */
  constructor(rule, { got = '', cause = '', remedy = '' } = {}) {
    const parts = [`${rule}.`, got && `Got: ${got}.`, cause && `Likely cause: ${cause}.`, remedy && `Way out: ${remedy}.`];
    super(parts.filter(Boolean).join(' '));
    this.name = 'TinyTimbreError';
    this.rule = rule;
    this.got = got;
    this.cause = cause;
    this.remedy = remedy;
  }
}
