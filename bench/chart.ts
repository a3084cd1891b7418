/** Bars as an SVG that follows the reader's colours, by day and by night. */

export interface Bar {
  name: string
  least: number
  middle: number
  most: number
}

const WIDTH = 760
const NAME_WIDTH = 220
const ROW = 34
const TOP = 44
const STYLE = `
    text { font: 14px system-ui, sans-serif; fill: #24292f }
    .title { font-weight: 600 }
    .bar { fill: #b6bec7 } .own { fill: #c2410c }
    .range { stroke: #24292f; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .bar { fill: #545d68 } .own { fill: #fb923c }
      .range { stroke: #e6edf3 }
    }`

/** One bar for each, as long as its median, with a line from the least to the most. */
export function toChart(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map((bar) => bar.most))
  const at = (value: number) => NAME_WIDTH + (value / most) * (WIDTH - NAME_WIDTH - 90)
  const rows = bars.map(({ name, least, middle, most: top }, index) => {
    const y = TOP + index * ROW
    const kind = name.startsWith('Hearth') ? 'bar own' : 'bar'
    return `
  <text x="${NAME_WIDTH - 10}" y="${y + 17}" text-anchor="end">${escape(name)}</text>
  <rect class="${kind}" x="${NAME_WIDTH}" y="${y}" width="${round(at(middle) - NAME_WIDTH)}" height="24" rx="3"/>
  <line class="range" x1="${round(at(least))}" x2="${round(at(top))}" y1="${y + 12}" y2="${y + 12}"/>
  <text x="${round(at(Math.max(middle, top)) + 8)}" y="${y + 17}">${escape(short(middle))}</text>`
  })
  const height = TOP + bars.length * ROW
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img">
  <title>${escape(title)}</title>
  <style>${STYLE}
  </style>
  <text class="title" x="10" y="22">${escape(title)}</text>${rows.join('')}
</svg>
`
}

/** 1,234,567 → 1.23 M. */
function short(value: number) {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`
  if (value >= 1e4) return `${Math.round(value / 1e3)} k`
  return String(Number(value.toPrecision(3)))
}

function round(value: number) {
  return Math.round(value * 10) / 10
}

function escape(text: string) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
