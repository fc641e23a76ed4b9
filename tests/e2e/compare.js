// Looks at two pictures in squares, by their mean colours: small ones, in which letters and signs stand out, and
// large ones, in which letters fade and a pale ground of another colour stands out.
const MARK = { size: 8, far: 24 }, AREA = { size: 32, far: 5 };
const pixels = async (png) => {
  const image = new Image();
  image.src = "data:image/png;base64," + png;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
};
/** Mean colour of each square of so many pixels. */
const squares = ({ data, width }, size, columns, rows) => {
  const means = new Float64Array(columns * rows * 3);
  for (let y = 0; y < rows * size; y++)
    for (let x = 0; x < columns * size; x++)
      for (let c = 0; c < 3; c++)
        means[((y / size | 0) * columns + (x / size | 0)) * 3 + c] += data[(y * width + x) * 4 + c] / size ** 2;
  return means;
};
/** How many squares differ in a channel by more than `far` of 255. */
const unlike = (a, b, { size, far }) => {
  const columns = Math.min(a.width, b.width) / size | 0, rows = Math.min(a.height, b.height) / size | 0;
  const [p, q] = [squares(a, size, columns, rows), squares(b, size, columns, rows)];
  let count = 0;
  for (let i = 0; i < p.length; i += 3) count += [0, 1, 2].some((c) => Math.abs(p[i + c] - q[i + c]) > far);
  return count;
};
window.compare = async (one, other) => {
  const [a, b] = [await pixels(one), await pixels(other)];
  return { marks: unlike(a, b, MARK), areas: unlike(a, b, AREA), higher: Math.abs(a.height - b.height), wider: Math.abs(a.width - b.width) };
};
window.colours = async (png) => {
  const { data, width, height } = await pixels(png);
  const colours = [];
  for (let i = 0; i < data.length; i += 4) colours.push(data[i] << 16 | data[i + 1] << 8 | data[i + 2]);
  return { colours, width, height };
};
