// Metrics for pages: a feed of seconds, ranges of history, the relay's recorder, processes. All of it is the relay's and
// the server's word, and is shown as that. Never: an exception for what a server sends.

import * as relay from "./api_metrics";
import type { Column, Metrics, Past, Series } from "./facade";
import { type Frame, Kind } from "./frame";
import { body, refusal } from "./link";
import { LiveFeed } from "./metrics_feed";
import { MetricsStore } from "./metrics_store";
import { announced, type Range, range as readRange, sample } from "./metrics_wire";
import { refused } from "./wire";

/** What the server says instead of an answer. */
function saysNo(frame: Frame): void {
  if (frame.kind === Kind.Refused) throw refusal(body(refused, frame));
}

interface Found {
  readonly series: Series;
  readonly range: Range;
}

/** One time axis for all: that of the most points. A series of another one keeps its values at the nearest times. */
export function together(found: readonly Found[]): Past {
  const [first] = [...found].sort((a, b) => b.range.mean.length - a.range.mean.length);
  if (first === undefined) return { times: new Float64Array(), columns: [], dropped: 0 };
  const { from, step, mean } = first.range;
  const times = Float64Array.from(mean, (_, at) => from + at * step);
  const columns = found.map(({ series, range }): Column => {
    const fitted = (values: Float32Array) => onAxis(values, range, times);
    return { series, values: fitted(range.mean), min: fitted(range.min), max: fitted(range.max) };
  });
  return { times, columns, dropped: 0 };
}

function onAxis(values: Float32Array, { from, step }: Range, times: Float64Array): Float32Array {
  if (values.length === times.length && from === times[0]) return values;
  return Float32Array.from(
    times,
    (time) => values[step > 0 ? Math.floor((time - from) / step) : 0] ?? Number.NaN,
  );
}

export const metrics: Metrics = {
  watch: async (server) => new LiveFeed(server),
  async range(server, wish) {
    const known: (Series | undefined)[] = [];
    const found = new Map<number, Found>();
    await relay.range(server, wish, (frame) => {
      saysNo(frame);
      if (frame.kind === Kind.MetricsSeries) {
        const page = announced(frame.body);
        page?.series.forEach((one, index) => {
          known[page.first + index] = one;
        });
      } else if (frame.kind === Kind.MetricsRange) {
        const one = readRange(frame.body);
        const series = one && known[one.series];
        if (series && one.step > 0) found.set(one.series, { series, range: one });
      }
    });
    return together([...found.values()]);
  },
  async recorder(server) {
    const store = new MetricsStore();
    await relay.recorder(server, (frame) => {
      saysNo(frame);
      const page = frame.kind === Kind.MetricsSeries ? announced(frame.body) : undefined;
      if (page !== undefined) store.announce(page);
      const moment = frame.kind === Kind.MetricsSample ? sample(frame.body) : undefined;
      if (moment !== undefined) store.add(moment);
    });
    return store.past();
  },
  processes: relay.processes,
  happened: relay.happened,
};
