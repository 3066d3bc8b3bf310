// The look of every chart, static and live. Evaluates to a function that takes
// echarts and an option and returns the option with what its author left open.
(function (echarts, option) {
  // Mid-grey text has a contrast of more than 4:1 on white and on JupyterLab's
  // dark grey, so that one transparent picture suits both.
  var text = '#737b87', line = 'rgba(128,128,128,.35)', split = 'rgba(128,128,128,.18)';
  // Quoted with ': echarts writes the name into an attribute as it stands.
  var fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK SC', sans-serif";
  // Okabe and Ito's colours, told apart by colour-blind readers; the order puts
  // the ones with most contrast on white and on black first.
  var colors = ['#2f7fbf', '#e08214', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#b8a000', '#8c6bb1'];
  // What go-echarts writes into every chart; it is nobody's choice.
  var goEchartsColors = '#5470c6,#91cc75,#fac858,#ee6666,#73c0de,#3ba272,#fc8452,#9a60b4,#ea7ccc';

  // Line heights are given, as echarts measures them by a Chinese character, which
  // is far off where no font has it.
  if (!echarts.lakekitTheme) {
    var axis = {
      nameTextStyle: { color: text, fontSize: 12, lineHeight: 14 },
      axisLabel: { color: text, lineHeight: 14, hideOverlap: true },
      axisLine: { lineStyle: { color: line } },
      axisTick: { lineStyle: { color: line } },
      splitLine: { lineStyle: { color: split } }
    };
    echarts.registerTheme('lakekit', {
      color: colors,
      backgroundColor: 'transparent',
      textStyle: { fontFamily: fonts, color: text },
      title: {
        left: 'center', top: 10, itemGap: 2,
        textStyle: { color: text, fontSize: 16, lineHeight: 18, fontWeight: 600 },
        subtextStyle: { color: text, fontSize: 12, lineHeight: 14 }
      },
      legend: { textStyle: { color: text, lineHeight: 14 } },
      visualMap: { textStyle: { color: text, lineHeight: 14 } },
      pie: { label: { color: text, lineHeight: 14 } },
      categoryAxis: axis, valueAxis: axis, logAxis: axis, timeAxis: axis
    });
    echarts.lakekitTheme = true;
  }

  function list(value) { return value == null ? [] : Array.isArray(value) ? value : [value]; }
  function missing(object, defaults) {
    for (var key in defaults) if (object[key] === undefined) object[key] = defaults[key];
  }

  var series = list(option.series), titles = list(option.title);
  var xAxes = list(option.xAxis), yAxes = list(option.yAxis);
  var title = titles[0] || {};
  var heading = title.text ? (title.subtext ? 70 : 36) : 8;

  if (list(option.color).join() === goEchartsColors) delete option.color;

  // A legend of one series only repeats the title.
  var named = series.filter(function (s) { return s.name; }).length;
  list(option.legend).forEach(function (legend) {
    if (legend.show === undefined && named < 2) legend.show = false;
    missing(legend, { top: heading, left: "center", type: "scroll", itemGap: 24 });
  });
  var legendShown = list(option.legend).some(function (l) { return l.show !== false; });
  var top = heading + (legendShown ? 40 : 14);

  var maps = list(option.visualMap).filter(function (m) { return m.show !== false; });
  maps.forEach(function (m) {
    if (m.orient === 'horizontal') missing(m, { left: 'center', bottom: 4 });
    else missing(m, { right: 6, top: 'middle' });
  });

  xAxes.forEach(function (axis) {
    missing(axis, { nameLocation: 'middle', nameGap: 30 });
    if (axis.data && axis.type === undefined) axis.type = 'category';
  });
  yAxes.forEach(function (axis) {
    missing(axis, { nameLocation: 'middle', nameGap: 18 });
    if (axis.data && axis.type === undefined) axis.type = 'category';
  });
  if (yAxes.length === 2 && yAxes[1].position === undefined) yAxes[1].position = 'right';
  // Two scales with grid lines of their own make a plaid.
  yAxes.slice(1).forEach(function (axis) {
    if (axis.splitLine === undefined) axis.splitLine = { show: false };
  });

  if (xAxes.length || yAxes.length) {
    if (option.grid === undefined) option.grid = {};
    list(option.grid).forEach(function (grid) {
      var vertical = maps.some(function (m) { return m.orient !== 'horizontal'; });
      var horizontal = maps.some(function (m) { return m.orient === 'horizontal'; });
      missing(grid, {
        left: 16, right: vertical ? 96 : 24, top: top, bottom: horizontal ? 56 : 16,
        outerBoundsMode: 'same', outerBoundsContain: 'all'
      });
    });
  }

  series.forEach(function (s) {
    if (s.type === 'pie') missing(s, { radius: '62%', center: ['50%', heading > 8 ? '57%' : '50%'] });
    if (s.type === 'scatter' && list(s.data).length > 1000) {
      missing(s, { symbolSize: 3, itemStyle: { opacity: 0.5 }, large: true, largeThreshold: 1000 });
    }
    if (s.type === 'line') missing(s, { showSymbol: list(s.data).length <= 60 });
  });
  return option;
})
