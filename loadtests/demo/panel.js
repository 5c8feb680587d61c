// One reader: its share of slow requests, every request as a dot, its slots, and its queue if it has one.
// Python calls show() with its state (panel.py says what is in it), the new dots, and the requests that wait.

const SECONDS = 30;  // from the left edge to the right one
const FROM_MS = 1, TO_MS = 60000;
const MARKS = [[1, "1 ms"], [10, "10 ms"], [100, "100 ms"], [1000, ""], [10000, "10 s"]];
const FRAME_MS = 66;
const BOTTOM = 8;

export default {
  template: `
    <section v-if="now" class="reader" :class="now.jobs ? 'queued' : 'sync'" :aria-label="now.title">
      <h2>{{ now.title }} <small>{{ now.about }}</small></h2>
      <div class="figures">
        <p class="share" :class="now.level"><strong>{{ now.share }}</strong> <span>over {{ rule }} ms, last 10 s</span></p>
        <dl>
          <div v-for="[what, figure, mark] in now.figures" :key="what"><dt :class="mark">{{ what }}</dt><dd>{{ figure }}</dd></div>
        </dl>
      </div>
      <canvas ref="canvas" role="img" :aria-label="now.spoken"></canvas>
      <div class="places">
        <p class="line"><span class="label">in line <b>{{ now.line }}</b></span>
          <i v-for="n in Math.min(now.line, 60)" :key="n"></i></p>
        <ol class="slots" :aria-label="now.slots_spoken">
          <li v-for="(slot, n) in now.slots" :key="n" :class="slot.level">{{ slot.text }}</li>
        </ol>
        <p v-if="now.jobs" class="jobs"><span class="label">jobs in the table <b>{{ now.jobs.waiting }}</b></span>
          <i v-for="n in Math.min(now.jobs.waiting, 60)" :key="n"></i></p>
        <p v-if="now.jobs" class="threads" :class="{gone: !now.jobs.worker}">
          <span class="label">{{ now.jobs.worker ? "threads busy" : "no worker" }} <b v-if="now.jobs.worker">{{ now.jobs.performed }}</b></span>
          <i v-for="n in now.jobs.threads" :key="n" :class="{held: n <= now.jobs.performed}"></i></p>
        <p v-if="!now.jobs" class="none">No queue: the slot itself waits for the feed.</p>
        <p v-if="!now.jobs"></p>
      </div>
    </section>`,
  props: { rule: Number },
  data: () => ({ now: null }),
  mounted() {
    this.dots = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (!this.still) this.timer = setInterval(() => this.draw(), FRAME_MS);
  },
  unmounted() { clearInterval(this.timer); },
  methods: {
    show(now, dots, waiting) {
      this.now = now;
      const oldest = Date.now() / 1000 - SECONDS - 5;
      this.dots = this.dots.filter(([at]) => at > oldest).concat(dots);
      this.waiting = waiting;
      if (this.still) this.draw();
    },
    draw() {
      const canvas = this.$refs.canvas, scale = devicePixelRatio || 1;
      if (!canvas || document.hidden) return;
      const width = canvas.clientWidth, height = canvas.clientHeight, now = Date.now() / 1000;
      if (!width) return;
      if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
      if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
      const style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue("--" + name);
      const size = parseFloat(style.fontSize), left = 5 * size, radius = size / 3.7;
      const pen = canvas.getContext("2d");
      const x = (at) => width - (now - at) / SECONDS * (width - left);
      const y = (ms) => (height - BOTTOM) * (1 - Math.log(Math.max(ms, FROM_MS) / FROM_MS) / Math.log(TO_MS / FROM_MS));
      pen.setTransform(scale, 0, 0, scale, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.fillStyle = colour("late-back");
      pen.fillRect(left, 0, width, y(this.rule));
      pen.font = style.font;
      pen.textBaseline = "middle";
      pen.textAlign = "right";
      for (const [ms, text] of MARKS) {
        pen.fillStyle = colour("text-soft");
        pen.fillText(text, left - 6, y(ms));
        pen.fillStyle = colour("grid");
        pen.fillRect(left, y(ms), width, 1);
      }
      pen.fillStyle = colour("late");
      pen.fillRect(left, y(this.rule) - 1, width, 2);
      pen.fillText(this.rule + " ms", left - 6, y(this.rule));
      for (const [at, ms, group] of this.dots) {
        if (x(at) < left) continue;
        pen.fillStyle = colour(group) || colour("other");
        if (ms === null) pen.fillRect(x(at) - 4, 2, 8, 3);
        else this.dot(pen, x(at), y(ms), colour(group) ? radius : radius / 2);
      }
      pen.lineWidth = 1.6;
      for (const [at, , group] of this.waiting || []) {
        pen.strokeStyle = colour(group) || colour("other");
        pen.beginPath();
        pen.arc(Math.max(x(at), left), y((now - at) * 1000), radius, 0, 7);
        pen.stroke();
      }
    },
    dot(pen, x, y, radius) {
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    },
  },
};
