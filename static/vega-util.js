// What vega-interpreter.js imports from the package vega-util, which vega.min.js holds already.
export const { ascending, isString, DisallowedObjectProperties } = window.vega;
