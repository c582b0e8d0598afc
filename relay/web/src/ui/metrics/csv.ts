// What is shown, as a file for a spreadsheet. Never: a text that a spreadsheet would run as a formula.
import type { Drawn } from "./charts";
import { unitName } from "./format";
import type { Line } from "./lookup";

/** A cell of text: quoted where it must be, and no formula, whatever a server calls its things. */
export function cell(text: string): string {
  const harmless = /^[\s]*[=+\-@|%\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\n\r;\t']/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function number(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
}

interface Row {
  readonly name: string;
  readonly values: Float32Array;
}

function columnsOf(title: string, unit: string, { label, values, min, max }: Line): readonly Row[] {
  const name = `${title}: ${label} [${unit}]`;
  if (!min || !max) return [{ name, values }];
  return [
    { name, values },
    { name: `${name} min`, values: min },
    { name: `${name} max`, values: max },
  ];
}

/** One line a moment, one column a line of a chart; empty where nothing is known. */
export function csv(times: Float64Array, charts: readonly Drawn[], title: (of: Drawn) => string): string {
  const columns = charts.flatMap((of) =>
    of.lines.flatMap((line) => columnsOf(title(of), unitName(of.chart.unit), line)),
  );
  const head = ["time", ...columns.map(({ name }) => cell(name))].join(",");
  const lines = Array.from(times, (time, at) =>
    [new Date(time).toISOString(), ...columns.map(({ values }) => number(values[at]))].join(","),
  );
  return `${[head, ...lines].join("\r\n")}\r\n`;
}
