// Package chart turns the option JSON of an echarts chart, as go-echarts makes
// it, into output for every place a notebook is read in.
//
// Renderer draws static SVG with echarts' own server-side rendering, run by
// goja without a browser, in a process of its own within limits of computing and
// memory. Bundle wraps it as HTML whose picture becomes a live
// chart where echarts can be had, and as text for a terminal. One theme (see
// theme.js) spaces titles, axis names and labels and suits light and dark pages.
//
// Caveats: the static SVG is measured without a browser's fonts, so widths of
// labels are estimates. JavaScript functions (opts.FuncOpts) are run only where
// echarts takes them (formatter, symbolSize, ...) and never from data. Charts
// that need a plug-in of echarts (3D, word cloud, liquid) are not drawn.
package chart
