// One chart on a canvas, by uPlot. Colours are the theme's; lines differ in their pattern too, so that they can be told
// apart without colour. Never: a text as markup.
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { dateOf, timeFormat } from "../formats";
import { told, type Unit } from "./format";
import type { Span } from "./look.svelte";
import { type Line, moved } from "./lookup";
import { HOLLOW, HURTS, type Mark, SHAPES } from "./marks";
import { PATTERNS } from "./patterns";

export interface Event {
  readonly at: number;
  readonly kind: Mark;
}

export interface Picture {
  readonly times: Float64Array;
  readonly lines: readonly Line[];
  readonly unit: Unit;
  readonly whole: boolean;
  readonly span: Span;
  readonly events: readonly Event[];
  readonly earlier:
    | { readonly lines: readonly Line[]; readonly times: Float64Array; readonly shift: number }
    | undefined;
  readonly height: number;
  readonly language: string;
}

export interface PlotHooks {
  /** The pointer is over this moment; missing: it left. */
  readonly over: (at: number | undefined) => void;
  readonly zoomed: (from: number, to: number) => void;
}

type Values = (number | null)[];

function values(of: Float32Array): Values {
  return Array.from(of, (value) => (Number.isNaN(value) ? null : value));
}

/** How long charts are drawn before the page gets its turn: all of them at once would be one long task. */
const TURN_MS = 8;
const waiting = new Set<Plot>();
const turns = new MessageChannel();
turns.port1.onmessage = () => {
  const from = performance.now();
  for (const plot of waiting) {
    waiting.delete(plot);
    plot.draw();
    if (performance.now() - from > TURN_MS) break;
  }
  if (waiting.size > 0) turns.port2.postMessage(undefined);
};

export class Plot {
  readonly #watch: ResizeObserver;
  #plot: uPlot | undefined;
  #shape = "";
  #picture: Picture | undefined;
  #told = false;
  /** Asking an element for one makes the browser compute all styles anew. */
  readonly #colors = new Map<string, string>();

  constructor(
    readonly parent: HTMLElement,
    readonly hooks: PlotHooks,
  ) {
    this.#watch = new ResizeObserver(() => this.#resize());
    this.#watch.observe(parent);
  }

  destroy(): void {
    waiting.delete(this);
    this.#watch.disconnect();
    this.#plot?.destroy();
    this.#plot = undefined;
  }

  #resize(): void {
    const width = this.parent.clientWidth;
    if (this.#plot && width > 0 && width !== this.#plot.width)
      this.#plot.setSize({ width, height: this.#plot.height });
  }

  /** Another theme: colours are read again. */
  again(): void {
    this.#shape = "";
    this.#colors.clear();
    if (this.#picture) this.show(this.#picture);
  }

  /** Draws this soon; of pictures that come faster than they are drawn, the newest. */
  show(picture: Picture): void {
    this.#picture = picture;
    if (waiting.size === 0) turns.port2.postMessage(undefined);
    waiting.add(this);
  }

  draw(): void {
    const picture = this.#picture;
    if (!picture) return;
    const { lines, earlier, unit, height, language } = picture;
    const names = (of: readonly Line[]) => of.map(({ label, min }) => [label, min !== undefined]);
    const shape = JSON.stringify([names(lines), names(earlier?.lines ?? []), unit, height, language]);
    const data = dataOf(picture);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(picture), data, this.parent);
    } else this.#plot?.setData(data, false);
    this.#plot?.setScale("x", { min: picture.span.from / 1000, max: picture.span.to / 1000 });
  }

  /** Puts the line over all charts there. */
  point(at: number | undefined): void {
    const plot = this.#plot;
    if (!plot || plot.data[0].length === 0) return;
    const left = at === undefined ? -10 : plot.valToPos(at / 1000, "x");
    this.#told = true;
    plot.setCursor({ left, top: 10 }, false);
    this.#told = false;
  }

  #options(picture: Picture): uPlot.Options {
    const style = getComputedStyle(this.parent);
    const color = (name: string) => this.#color(name);
    const font = `12px ${style.fontFamily}`;
    const axis: uPlot.Axis = {
      stroke: color("--text-soft"),
      font,
      grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line"), width: 1, size: 4 },
    };
    return {
      width: Math.max(80, this.parent.clientWidth),
      height: picture.height,
      pxAlign: 0,
      legend: { show: false },
      padding: [12, 24, 0, 0],
      cursor: {
        y: false,
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false },
      },
      select: { show: true, left: 0, top: 0, width: 0, height: 0 },
      scales: {
        x: { time: true, auto: false },
        y: { range: (_plot, _min, max) => [0, top(max, picture.whole)] },
      },
      axes: [
        { ...axis, size: 28, space: 72, values: (plot, ticks) => clock(plot, ticks, picture.language) },
        {
          ...axis,
          size: 68,
          gap: 4,
          values: (_plot, ticks) => ticks.map((value) => told(value, picture.unit)),
        },
      ],
      ...seriesOf(picture, color),
      hooks: {
        draw: [(plot) => this.#marks(plot, color)],
        setCursor: [
          (plot) => {
            if (this.#told) return;
            const { left, idx } = plot.cursor;
            const at =
              left !== undefined && left >= 0 && typeof idx === "number" ? plot.data[0][idx] : undefined;
            this.hooks.over(at === undefined ? undefined : at * 1000);
          },
        ],
        setSelect: [
          (plot) => {
            const { left, width } = plot.select;
            if (width < 4) return;
            const [from, to] = [plot.posToVal(left, "x"), plot.posToVal(left + width, "x")];
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            this.hooks.zoomed(from * 1000, to * 1000);
          },
        ],
      },
    };
  }

  /** A theme's colour as a canvas takes it: what `light-dark()` stands for is known to elements alone. */
  #color(name: string): string {
    const known = this.#colors.get(name);
    if (known !== undefined) return known;
    const probe = document.createElement("span");
    probe.style.color = `var(${name})`;
    this.parent.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    this.#colors.set(name, found);
    return found;
  }

  /** Events as lines over the time, each with a shape of its own at its top. */
  #marks(plot: uPlot, color: (name: string) => string): void {
    const { ctx, bbox } = plot;
    ctx.save();
    for (const { at, kind } of this.#picture?.events ?? []) {
      const x = Math.round(plot.valToPos(at / 1000, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.strokeStyle = ctx.fillStyle = color(HURTS.includes(kind) ? "--critical" : "--accent");
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(kind === "mark" ? [] : [4 * devicePixelRatio, 3 * devicePixelRatio]);
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
      ctx.setLineDash([]);
      shape(ctx, kind, x, bbox.top, 5 * devicePixelRatio);
    }
    ctx.restore();
  }
}

function shape(ctx: CanvasRenderingContext2D, kind: Mark, x: number, y: number, r: number): void {
  const path = new Path2D(SHAPES[kind]);
  ctx.save();
  ctx.translate(x - r, y - r);
  ctx.scale(r / 5, r / 5);
  if (HOLLOW.includes(kind)) ctx.stroke(path);
  else ctx.fill(path, "evenodd");
  ctx.restore();
}

/** Seen through: `rgb(1, 2, 3)` as `rgba(1, 2, 3, 0.2)`. */
function faint(color: string, part: number): string {
  return color.replace(/^rgb\((.*)\)$/, `rgba($1, ${part})`);
}

/** The axis goes a little beyond the largest value; a share's to the whole. */
function top(max: number | null, whole: boolean): number {
  const most = max === null || !(max > 0) ? 0 : max * 1.08;
  return whole ? Math.max(1, most) : most || 1;
}

function clock(plot: uPlot, ticks: readonly number[], language: string): string[] {
  const { min = 0, max = 0 } = plot.scales.x ?? {};
  const length = (max ?? 0) - (min ?? 0);
  const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
  const format = timeFormat(
    language,
    length > 2 * 86_400
      ? { month: "short", day: "numeric" }
      : length > 600
        ? time
        : { ...time, second: "2-digit" },
  );
  return ticks.map((tick) => format.format(dateOf(tick * 1000)));
}

function dataOf({ times, lines, earlier }: Picture): uPlot.AlignedData {
  const behind =
    earlier?.lines.map((line) => values(moved(line.values, earlier.times, times, earlier.shift))) ?? [];
  const front = lines.flatMap((line) => [
    values(line.values),
    ...(line.min && line.max ? [values(line.max), values(line.min)] : []),
  ]);
  return [Array.from(times, (time) => time / 1000), ...behind, ...front];
}

/** What lies behind first, then each line with the band between its smallest and largest. */
function seriesOf(
  picture: Picture,
  color: (name: string) => string,
): Pick<uPlot.Options, "series" | "bands"> {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const of = (label: string) =>
    Math.max(
      0,
      picture.lines.findIndex((line) => line.label === label),
    ) % PATTERNS.length;
  for (const { label } of picture.earlier?.lines ?? []) {
    const stroke = faint(color(`--line-${of(label) + 1}`), 0.4);
    series.push({ label, stroke, width: 3, points: { show: false } });
  }
  for (const { label, min, max } of picture.lines) {
    const at = of(label);
    const stroke = color(`--line-${at + 1}`);
    series.push({ label, stroke, width: 1.5, dash: [...(PATTERNS[at] ?? [])], points: { show: false } });
    if (!min || !max) continue;
    const edge = { stroke: "transparent", width: 0, points: { show: false } } as const;
    series.push({ ...edge, label: `${label} max` }, { ...edge, label: `${label} min` });
    bands.push({ series: [series.length - 2, series.length - 1], fill: faint(stroke, 0.2) });
  }
  return { series, bands };
}
