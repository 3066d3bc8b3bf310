// Evaluates to a function that turns the text of functions into functions, in
// place: only under the keys where echarts takes one, never inside data, so
// that no text out of a table is run.
(function (option) {
  var keys = /^(formatter|valueFormatter|symbolSize|symbolRotate|color|interval|position|sort|animationDelay|animationDelayUpdate|animationDuration|labelLayout|min|max)$/;
  var source = /^(__f__)?(\s*(?:function\b|\([^()]*\)\s*=>|[A-Za-z_$][\w$]*\s*=>)[\s\S]*?)(__f__)?$/;
  (function walk(node) {
    Object.keys(node).forEach(function (key) {
      var value = node[key];
      if (key === 'data' || key === 'dataset') return;
      if (value && typeof value === 'object') return walk(value);
      if (typeof value !== 'string' || !keys.test(key)) return;
      var match = source.exec(value);
      if (match) node[key] = (0, eval)('(' + match[2] + ')');
    });
  })(option);
  return option;
})
