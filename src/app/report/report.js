'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const root = document.documentElement, main = document.getElementById('main');
  const failed = [];
  window.addEventListener('error', event => { failed.push(String(event.message)); root.dataset.errors = failed.length; });

  const words = {
    en: {
      title: 'Quantization report', language: '中文', dark: 'dark', light: 'light', model: 'Model type', type: 'Highest type', layers: 'Quantized layers',
      size: 'Size of the weights', tensors: 'Tensors', program: 'Written by', group: 'Group size', types: 'Types', share: 'Parameters by type',
      map: 'Type of every layer', mapNote: 'A row is a block, a column a kind of layer. Where kinds are experts, the square tells the first one.',
      weight: 'Error of the weights', weightNote: 'Relative to the norm of the float weight.', output: 'Error of the outputs', outputNote: 'Of the deployed layer on sampled calibration rows.',
      clipped: 'Clipped share', coverage: 'Tokens of experts', coverageNote: 'Fewest, middle and most calibration tokens of an expert.', idle: 'Experts without tokens',
      table: 'All layers', filter: 'filter by name or type', rows: (n, all) => `${n} of ${all} rows`, more: 'show more', name: 'name', kind: 'type', by: 'step',
      werr: 'weight error', merr: 'largest error', oerr: 'output error', clip: 'clipped', smin: 'smallest scale', smax: 'largest scale', iscale: 'input scale', ioff: 'offset',
      notFinite: 'Not finite in the source', nothing: 'The ledger holds no layers.', evaluation: 'Evaluation', floats: 'Stays float', messages: 'Messages', value: 'value',
      ppl: 'Perplexity', rppl: 'Perplexity of the float model', kl: 'KL divergence', top: 'Same likeliest token', rms: 'RMS change of the right token\'s probability',
      layerError: 'Error of what a layer puts out', streamed: 'in the stream', forced: 'by itself',
    },
    zh: {
      title: '量化报告', language: 'English', dark: '深色', light: '浅色', model: '模型类型', type: '最高类型', layers: '已量化的层', size: '权重大小', tensors: '张量数', program: '写出程序',
      group: '分组大小', types: '类型', share: '各类型的参数量', map: '每一层的类型', mapNote: '一行是一个块，一列是一种层；专家层的方格表示其中第一个专家。', weight: '权重误差', weightNote: '相对于浮点权重的范数。',
      output: '输出误差', outputNote: '部署后的层在抽样校准行上的误差。', clipped: '截断比例', coverage: '专家的词元数', coverageNote: '一个专家分到的最少、居中和最多的校准词元。', idle: '没有词元的专家',
      table: '全部层', filter: '按名称或类型筛选', rows: (n, all) => `${all} 行中的 ${n} 行`, more: '显示更多', name: '名称', kind: '类型', by: '步骤', werr: '权重误差', merr: '最大误差', oerr: '输出误差',
      clip: '截断', smin: '最小尺度', smax: '最大尺度', iscale: '输入尺度', ioff: '偏移', notFinite: '源中非有限的张量', nothing: '账本中没有层。', evaluation: '评估', floats: '保持浮点', messages: '消息', value: '值',
      ppl: '困惑度', rppl: '浮点模型的困惑度', kl: 'KL 散度', top: '最可能词元一致率', rms: '正确词元概率变化的均方根', layerError: '各层输出的误差', streamed: '在流中', forced: '单独',
    },
  };
  let language = (navigator.language || 'en').startsWith('zh') ? 'zh' : 'en';
  let theme = window.matchMedia && window.matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  let charts = [];
  const colors = ['#4e79a7', '#f28e2b', '#59a14f', '#e15759', '#b07aa1', '#76b7b2', '#edc948', '#9c755f', '#ff9da7', '#bab0ac'];

  // All text goes in as text: nothing of a name is ever markup.
  const make = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
      else element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  };
  const number = value => typeof value !== 'number' ? '–' : value === 0 ? '0' : Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6 ? String(+value.toPrecision(4)) : value.toExponential(2);
  const bytes = value => value > 2 ** 29 ? (value / 2 ** 30).toFixed(2) + ' GiB' : (value / 2 ** 20).toFixed(1) + ' MiB';
  const tensors = data.tensors;
  const block = name => { const found = /(?:^|\.)(?:layers|blocks|h)\.(\d+)\./.exec(name); return found ? +found[1] : -1; };
  const kind = name => name.replace(/^.*?(?:layers|blocks|h)\.\d+\./, '').replace(/\.\d+\./g, '.*.');
  for (const entry of tensors) { entry.at = block(entry.name); entry.own = kind(entry.name); }
  const typeNames = [...new Set(tensors.map(entry => entry.type))].sort();
  const color = type => type === 'FLOAT' ? '#c8ced6' : colors[Math.max(0, typeNames.indexOf(type)) % colors.length];

  const section = (title, note, ...children) => {
    const made = make('section', {}, make('h2', {}, title));
    if (note) made.append(make('p', {class: 'note'}, note));
    made.append(...children);
    main.append(made);
  };
  const chart = (title, note, config) => {
    const canvas = make('canvas', {role: 'img', 'aria-label': title});
    section(title, note, make('div', {class: 'chart'}, canvas));
    const style = getComputedStyle(root), soft = style.getPropertyValue('--soft').trim(), line = style.getPropertyValue('--line').trim();
    config.options = Object.assign({maintainAspectRatio: false, animation: false, color: soft, scales: {}}, config.options);
    for (const axis of ['x', 'y']) config.options.scales[axis] = Object.assign({ticks: {color: soft}, grid: {color: line}}, config.options.scales[axis]);
    charts.push(new Chart(canvas, config));
  };
  const facts = pairs => {
    const list = make('dl', {class: 'facts'});
    for (const [name, value] of pairs) if (value !== undefined && value !== null && value !== '') list.append(make('div', {}, make('dt', {}, name), make('dd', {}, String(value))));
    return list;
  };

  // One series for each kind of layer, over the blocks; the mean where a block has several (experts).
  const series = field => {
    const found = new Map();
    for (const entry of tensors) {
      const at = entry.at, value = entry[field];
      if (at < 0 || typeof value !== 'number') continue;
      const own = found.get(entry.own) || found.set(entry.own, new Map()).get(entry.own);
      const sum = own.get(at) || own.set(at, [0, 0]).get(at);
      sum[0] += value; sum[1] += 1;
    }
    return [...found].slice(0, 24).map(([label, values], index) => ({
      label, borderColor: colors[index % colors.length], backgroundColor: colors[index % colors.length], pointRadius: 2, borderWidth: 1.5,
      data: [...values].sort((a, b) => a[0] - b[0]).map(([x, [sum, count]]) => ({x, y: sum / count})),
    }));
  };
  const lines = (title, note, field) => {
    const datasets = series(field);
    if (datasets.some(set => set.data.some(point => point.y > 0))) chart(title, note, {type: 'line', data: {datasets}, options: {scales: {x: {type: 'linear', ticks: {precision: 0}}, y: {beginAtZero: true}}}});
  };

  const map = text => {
    const places = new Map(), kinds = [];
    let last = -1;
    for (const [name, type] of Object.entries(data.types)) {
      const at = block(name), own = kind(name);
      if (at < 0) continue;
      if (!kinds.includes(own)) { if (kinds.length >= 64) continue; kinds.push(own); }
      last = Math.max(last, at);
      if (!places.has(at + ' ' + own)) places.set(at + ' ' + own, [name, type]);
    }
    if (last < 0) return;
    const table = make('table', {class: 'map'});
    for (let at = 0; at <= Math.min(last, 511); ++at) {
      const row = make('tr', {}, make('th', {}, String(at)));
      for (const own of kinds) {
        const found = places.get(at + ' ' + own);
        row.append(found ? make('td', {style: 'background:' + color(found[1]), title: found[0] + ': ' + found[1]}) : make('td', {}));
      }
      table.append(row);
    }
    const legend = make('div', {class: 'legend'});
    for (const type of [...new Set(Object.values(data.types))].sort()) legend.append(make('span', {}, make('i', {style: 'background:' + color(type)}), type));
    section(text.map, text.mapNote, legend, make('div', {class: 'wide'}, table));
  };

  const columns = [['name', 'name'], ['type', 'kind'], ['by', 'by'], ['weight_error', 'werr'], ['max_abs_error', 'merr'], ['output_error', 'oerr'], ['clipped_share', 'clip'],
    ['scale_min', 'smin'], ['scale_max', 'smax'], ['input_scale', 'iscale'], ['input_offset', 'ioff']];
  const table = text => {
    if (!tensors.length) { section(text.table, text.nothing); return; }
    const shown = columns.filter(([field]) => tensors.some(entry => entry[field] !== undefined));
    let order = null, down = true, limit = 200, wanted = '';
    const body = make('tbody'), count = make('p', {class: 'note', id: 'count'});
    const more = make('button', {type: 'button', onclick: () => { limit += 1000; fill(); }}, text.more);
    const fill = () => {
      let rows = wanted ? tensors.filter(entry => entry.name.toLowerCase().includes(wanted) || entry.type.toLowerCase().includes(wanted)) : tensors;
      if (order) {
        const value = entry => entry[order] === null || entry[order] === undefined ? (typeof tensors[0][order] === 'string' ? '' : -Infinity) : entry[order];
        rows = rows.slice().sort((a, b) => { const x = value(a), y = value(b); return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1); });
      }
      body.replaceChildren(...rows.slice(0, limit).map(entry => make('tr', {}, ...shown.map(([field]) =>
        typeof entry[field] === 'string' ? make('td', {}, entry[field]) : make('td', {class: 'number'}, number(entry[field]))))));
      count.textContent = text.rows(Math.min(limit, rows.length), rows.length);
      more.hidden = rows.length <= limit;
    };
    const head = make('tr', {}, ...shown.map(([field, word]) => make('th', {}, make('button', {type: 'button', 'data-sort': field, onclick: () => { down = order === field ? !down : true; order = field; fill(); }}, text[word]))));
    const filter = make('input', {type: 'search', id: 'filter', placeholder: text.filter, 'aria-label': text.filter, oninput: event => { wanted = event.target.value.toLowerCase(); limit = 200; fill(); }});
    fill();
    section(text.table, '', filter, count, make('div', {class: 'wide'}, make('table', {id: 'table'}, make('thead', {}, head), body)), more);
  };

  const experts = text => {
    if (!data.experts.length) return;
    const rows = data.experts.map(layer => { const sorted = layer.tokens.slice().sort((a, b) => a - b); return {name: layer.experts, low: sorted[0], middle: sorted[sorted.length >> 1], high: sorted[sorted.length - 1], idle: sorted.filter(x => x === 0).length}; });
    const set = (label, field, index) => ({label, data: rows.map(row => row[field]), backgroundColor: colors[index]});
    chart(text.coverage, text.coverageNote, {type: 'bar', data: {labels: rows.map(row => block(row.name + '.')), datasets: [set('min', 'low', 3), set('median', 'middle', 0), set('max', 'high', 2)]}});
    chart(text.idle, '', {type: 'bar', data: {labels: rows.map(row => block(row.name + '.')), datasets: [set(text.idle, 'idle', 1)]}});
  };

  const evaluation = text => {
    if (!data.evaluation || !data.evaluation.scores) return;
    const scores = data.evaluation.scores, kl = scores.kl || {};
    const with_error = (value, error) => typeof value === 'number' ? number(value) + (typeof error === 'number' ? ' ± ' + number(error) : '') : undefined;
    section(text.evaluation, '', facts([[text.ppl, with_error(scores.perplexity, scores.perplexity_error)], [text.rppl, with_error(scores.reference_perplexity, scores.reference_perplexity_error)],
      [text.kl, with_error(kl.mean, kl.error)], ['KL 99 %', with_error(kl.p99)], [text.top, scores.top1_agreement === undefined ? undefined : (100 * scores.top1_agreement).toFixed(2) + ' %'],
      [text.rms, scores.probability_change ? (100 * scores.probability_change.rms).toFixed(3) + ' %' : undefined]]));
    const layers = data.evaluation.layers || [];
    const set = (label, field, index) => ({label, borderColor: colors[index], backgroundColor: colors[index], data: layers.map((layer, x) => ({x, y: layer[field]}))});
    if (layers.length) chart(text.layerError, '', {type: 'line', data: {datasets: [set(text.streamed, 'streamed', 0), set(text.forced, 'forced', 1)]}, options: {scales: {x: {type: 'linear', ticks: {precision: 0}}, y: {beginAtZero: true}}}});
  };

  const draw = () => {
    const text = words[language];
    for (const old of charts) old.destroy();
    charts = [];
    main.replaceChildren();
    root.lang = language;
    root.dataset.theme = theme;
    document.title = text.title + ': ' + data.name;
    document.getElementById('title').textContent = text.title + ': ' + data.name;
    document.getElementById('language').textContent = text.language;
    document.getElementById('theme').textContent = theme === 'dark' ? text.light : text.dark;
    main.append(facts([[text.model, data.model_type], [text.type, data.model_quant_type], [text.layers, tensors.length], [text.size, bytes(data.bytes)], [text.tensors, data.tensor_count], [text.group, data.group_size], [text.program, data.program]]));
    evaluation(text);
    const share = Object.entries(data.parameters).sort((a, b) => b[1] - a[1]);
    if (share.length) chart(text.share, '', {type: 'bar', data: {labels: share.map(each => each[0]), datasets: [{label: text.share, data: share.map(each => each[1]), backgroundColor: share.map(each => color(each[0]))}]}, options: {indexAxis: 'y', plugins: {legend: {display: false}}}});
    if (data.floats.length) section(text.floats, '', make('ul', {}, ...data.floats.map(part => make('li', {}, part))));
    map(text);
    lines(text.weight, text.weightNote, 'weight_error');
    lines(text.output, text.outputNote, 'output_error');
    lines(text.clipped, '', 'clipped_share');
    experts(text);
    if (data.not_finite.length) section(text.notFinite, '', make('ul', {class: 'bad'}, ...data.not_finite.map(each => make('li', {}, `${each.name}: ${each.value} (${each.index})`))));
    table(text);
    root.dataset.ready = language;
    root.dataset.charts = charts.length;
    root.dataset.errors = failed.length;
  };
  document.getElementById('language').addEventListener('click', () => { language = language === 'en' ? 'zh' : 'en'; draw(); });
  document.getElementById('theme').addEventListener('click', () => { theme = theme === 'dark' ? 'light' : 'dark'; draw(); });
  draw();
})();
