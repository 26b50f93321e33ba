// One row of the table onto the page: no arithmetic but the choice of the row, the breaks at jumps and the words.
const g = gamma.value, b = beta.value;
const {x, f, slope} = nodes.data;
const {gammas} = scopes.data, {betas} = temperatures.data;
const n = x.length, G = gammas.length;
const at = (b * G + g) * n;
const u = entropy.data.value.slice(at, at + n), p = entropy.data.slope.slice(at, at + n);
const w = inviscid.data.value.slice(g * n, (g + 1) * n), q = inviscid.data.slope.slice(g * n, (g + 1) * n);
const broken = inviscid.data.broken.slice(g * n, (g + 1) * n);

// The window of the two upper pictures belongs to the loss and stays while sliders move.
const middle = (values) => inviscid.data[values].slice(reference * n, (reference + 1) * n);
const floor = Math.min(...f), height_shown = 1.6 * (Math.max(...middle("value")) - floor) || 1;
const steep = 1.6 * Math.max(...middle("slope").map(Math.abs)) || 1;
heights.setv({start: floor - 0.2 * height_shown, end: floor + height_shown});
steepness.setv({start: -steep, end: steep});
const band = (rising, level) => Array.from(x, (_, k) =>
  k + 1 < n && rising(k) ? floor - level * 0.04 * height_shown : NaN);
const shown = Array.from(q, (value, k) => broken[k] ? NaN : value);
curves.data = {
  x, f, slope, viscous: u, inviscid: w, viscous_slope: p, inviscid_slope: shown,
  convex_f: band(k => slope[k + 1] > slope[k], 1),
  convex_viscous: band(k => p[k + 1] > p[k], 2),
  convex_inviscid: band(k => q[k + 1] > q[k] && !broken[k], 3),
};

const jumps = {x0: [], y0: [], x1: [], y1: []};
for (let k = 0; k + 1 < n; k++) if (broken[k]) {
  jumps.x0.push(x[k]); jumps.y0.push(q[k]); jumps.x1.push(x[k + 1]); jumps.y1.push(q[k + 1]);
}
shocks.data = jumps;

const place = minima.data.viscous[b * G + g], still = minima.data.inviscid[g], first = minima.data.inviscid[0];
const height = (values, where) => values[x.reduce((best, z, k) => Math.abs(z - where) < Math.abs(x[best] - where) ? k : best, 0)];
lowest.data = {x: [first, place, still], y: [height(f, first), height(u, place), height(w, still)],
  color: lowest.data.color};

const lines = {x0: [], t0: [], x1: [], t1: []};
for (let k = 0; k < rays.data.foot.length; k++) {
  const t = Math.min(gammas[g], rays.data.death[k]);
  lines.x0.push(rays.data.foot[k]); lines.t0.push(0);
  lines.x1.push(rays.data.foot[k] + t * rays.data.slope[k]); lines.t1.push(t);
}
alive.data = lines;

const say = (value, digits = 4) => String(Number(Number(value).toPrecision(digits)));
const where = value => say(value.toFixed(3), 3);
gamma.title = `scope γ = ${say(gammas[g])}`;
beta.title = `inverse temperature β = ${say(betas[b])}`;
const moved = minima.data.moved[b * G + g];
const count = jumps.x0.length;
let text = `At γ = ${say(gammas[g])} the minimum of f_γ lies at x = ${where(place)}, `
  + (moved ? `in another valley than` : `in the valley of`) + ` the minimum of f at x = ${where(first)}; `
  + `Hopf-Lax keeps ${where(still)}, with ${count} ${count === 1 ? "jump" : "jumps"} of its slope`;
if (clause.text) text += `; ${clause.text}`;
const D = diffusivity === null ? "no SDE runs here; D = 1/β would sample exp(-βf)"
  : `D = ${say(diffusivities[diffusivity.value])}`;
sentence.text = `${text}. <b>β = ${say(betas[b])}, &nbsp; ν = 1/(2β) = ${say(0.5 / betas[b])}, &nbsp; ${D}</b>`;
