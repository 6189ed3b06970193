// The exports of vega-util that vega-interpreter.js imports; vega.min.js contains them.
export const { ascending, isString, DisallowedObjectProperties } = window.vega;
