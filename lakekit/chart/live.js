function (id, option, scriptURL, theme, functions, height) {
  function live() {
    var box = document.getElementById(id), picture = box && box.querySelector('img');
    if (!picture) return;
    var host = document.createElement('div');
    host.style.cssText = 'width:100%;height:' + height + 'px';
    host.setAttribute('role', 'img');
    host.setAttribute('aria-label', picture.alt);
    try {
      box.appendChild(host);
      picture.style.display = 'none';
      var ready = theme(window.echarts, functions(option));
      var chart = window.echarts.init(host, 'lakekit', { renderer: 'canvas', width: host.clientWidth || picture.width });
      chart.setOption(ready);
      picture.remove();
      if (window.ResizeObserver) new ResizeObserver(function () {
        if (host.clientWidth) chart.resize({ width: host.clientWidth });
      }).observe(host);
    } catch (e) {
      host.remove();
      picture.style.display = '';
    }
  }
  // One script element for all charts of the page.
  function load() {
    if (!window.lakekitECharts) window.lakekitECharts = new Promise(function (done, failed) {
      var script = document.createElement('script');
      script.src = scriptURL;
      script.onload = done;
      script.onerror = failed;
      document.head.appendChild(script);
    });
    window.lakekitECharts.then(function () { if (window.echarts) live(); }, function () { window.lakekitECharts = null; });
  }
  // JupyterLab runs scripts before it puts their output on the page.
  function start(attempts) {
    if (!document.getElementById(id)) {
      if (attempts > 0) setTimeout(function () { start(attempts - 1); }, 100);
    } else if (window.echarts) live();
    else if (scriptURL) load();
  }
  start(100);
}
