'use strict';
(() => {
  const { frames, total } = JSON.parse(document.getElementById('data').textContent);
  const viewer = document.querySelector('.viewer');
  if (!viewer || !frames.length) return;
  const one = (selector) => viewer.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const scrub = one('.scrub');
  const strip = one('.strip');
  const chapters = all('.chapters a');
  const chart = document.querySelector('.chart');
  document.body.classList.add('live');

  // Decoded ahead of time and kept, so that a frame never flashes empty when it is shown.
  const kinds = ['image', 'depth', 'labels'];
  const decoded = frames.map((frame) =>
    kinds.map((kind) => {
      const picture = new Image();
      picture.src = frame[kind];
      return picture;
    }));

  let now = 0;
  let timer = 0;

  const line = (parent) => parent && parent.appendChild(document.createElement('i'));
  const stripLine = line(strip);
  const chartLine = line(chart);

  function show(position) {
    now = Math.max(0, Math.min(frames.length - 1, position));
    const frame = frames[now];
    kinds.forEach((kind, i) => {
      for (const pane of all('img[data-kind=' + kind + ']')) pane.src = decoded[now][i].src;
    });
    scrub.value = now;
    scrub.setAttribute('aria-valuetext', frame.caption);
    stripLine.style.left = ((now + 0.5) / frames.length) * 100 + '%';
    if (chartLine) chartLine.style.left = (frame.index / Math.max(1, total - 1)) * 100 + '%';
    one('.caption').textContent = frame.caption;
    one('.stamp').textContent = frame.stamp;
    one('.chapter').textContent = frame.chapter;
    for (const mark of chapters) {
      mark.classList.toggle('now', now >= +mark.dataset.first && now <= +mark.dataset.last);
    }
  }

  function link() {
    // Refused by some browsers for a file on disk, or when called too often: only a convenience.
    try { history.replaceState(null, '', '#frame=' + frames[now].index); } catch { /* as is */ }
  }

  function go(position) { pause(); show(position); link(); }

  function pause() {
    clearInterval(timer);
    if (timer) link();
    timer = 0;
    toggleLabel(false);
  }

  function toggleLabel(playing) {
    viewer.classList.toggle('playing', playing);
    one('.play').setAttribute('aria-label', playing ? 'Pause' : 'Play');
  }

  function play() {
    if (timer) return pause();
    toggleLabel(true);
    timer = setInterval(() => show((now + 1) % frames.length), 140);
  }

  function fromFragment() {
    const match = /^#frame=(\d+)$/.exec(location.hash);
    if (!match) return false;
    pause();
    const later = frames.findIndex((frame) => frame.index > +match[1]);
    show(later < 0 ? frames.length - 1 : later - 1);
    return true;
  }

  const share = (event, element) => {
    const box = element.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };

  for (const frame of frames) {
    const slice = new Image();
    slice.src = frame.image;
    slice.alt = '';
    strip.insertBefore(slice, stripLine);
  }
  const seek = (event) => go(Math.floor(share(event, strip) * frames.length * 0.9999));
  strip.addEventListener('pointerdown', (event) => {
    strip.setPointerCapture(event.pointerId);
    seek(event);
  });
  strip.addEventListener('pointermove', (event) => { if (event.buttons) seek(event); });
  if (chart) {
    chart.addEventListener('click', (event) => {
      const index = share(event, chart) * (total - 1);
      const far = frames.map((frame) => Math.abs(frame.index - index));
      go(far.indexOf(Math.min(...far)));
    });
  }
  scrub.addEventListener('input', () => go(+scrub.value));
  one('.play').addEventListener('click', play);
  for (const mark of chapters) {
    mark.addEventListener('click', (event) => { event.preventDefault(); go(+mark.dataset.first); });
  }
  for (const pane of all('button.pane')) {
    pane.addEventListener('click', () => {
      const wide = pane.parentElement.classList.toggle('wide');
      pane.setAttribute('aria-pressed', wide);
    });
  }
  const blend = one('.blend input');
  blend.addEventListener('input', () => {
    viewer.style.setProperty('--blend', blend.value / 100);
  });

  document.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || frames.length < 2) return;
    const target = event.target;
    const onRange = target.matches && target.matches('input[type=range]');
    const onControl = onRange || (target.matches && target.matches('button, a'));
    const step = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: frames.length - 1 };
    if (event.key in step && !onRange) go(step[event.key]);
    else if (event.key === ' ' && !onControl) play();
    else return;
    event.preventDefault();
  });
  window.addEventListener('hashchange', fromFragment);

  one('.blend').hidden = false;
  if (frames.length > 1) one('.controls').hidden = false;
  if (!fromFragment()) show(0);
})();
