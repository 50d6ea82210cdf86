// PostGraphile 5.1 asks for Node 22. All that it misses in Node 20 is this function; imported before it.

Promise.withResolvers ??= function withResolvers() {
  let resolve, reject;
  const promise = new this((...both) => ([resolve, reject] = both));
  return { promise, resolve, reject };
};
