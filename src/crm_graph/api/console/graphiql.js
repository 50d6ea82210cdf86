// Our part of the GraphiQL page: the token box, the transports and the example tabs. No build step, so no JSX.
"use strict";

(() => {
  const settings = JSON.parse(document.getElementById("settings").textContent);
  const tokenBox = document.getElementById("token");
  const container = document.getElementById("graphiql");

  // Our own prefix: every project that runs on localhost:8000 shares one localStorage, and would share its tabs.
  const prefix = "crm-graph:";
  const storage = {
    getItem: (key) => localStorage.getItem(prefix + key),
    setItem: (key, value) => localStorage.setItem(prefix + key, value),
    removeItem: (key) => localStorage.removeItem(prefix + key),
    clear: () => {
      for (const key of Object.keys(localStorage)) if (key.startsWith(prefix)) localStorage.removeItem(key);
    },
    get length() {
      return Object.keys(localStorage).filter((key) => key.startsWith(prefix)).length;
    },
  };

  const subscriptionUrl = new URL(settings.subscriptionUrl, location.href);
  subscriptionUrl.protocol = subscriptionUrl.protocol.replace(/^http/, "ws");

  // What the Headers tab says wins over the token box, so that one tab can try another user's token. HTTP ignores the
  // case of the name, the payload that opens a subscription does not: there it has to be the spelling of the server.
  const withToken = (token, headers = {}) => {
    let authorization = token ? `Bearer ${token}` : undefined;
    const others = {};
    for (const [name, value] of Object.entries(headers)) {
      if (name.toLowerCase() === "authorization") authorization = value;
      else others[name] = value;
    }
    return authorization === undefined ? others : { ...others, Authorization: authorization };
  };

  const closed = ({ code, reason }) => ({ message: `The server closed the subscription: ${code} ${reason}`.trim() });

  // GraphiQL loads the schema anew when it is given another fetcher, which is what a new token calls for.
  const fetcherFor = (token) => (params, options = {}) => {
    const headers = withToken(token, options.headers);
    const wsClient = {
      // A connection per subscription: one that is shared keeps the token that it was opened with. No retries, since
      // a subscription that silently starts over hides that events were missed.
      subscribe(payload, sink) {
        const client = graphqlWs.createClient({
          url: subscriptionUrl.href,
          connectionParams: headers,
          retryAttempts: 0,
        });
        return client.subscribe(payload, {
          ...sink,
          // As a plain object: GraphiQL shows an Error with its stack, which is of no use here.
          error: (error) => sink.error(error instanceof CloseEvent ? closed(error) : error),
        });
      },
    };
    return GraphiQL.createFetcher({ url: settings.endpoint, wsClient })(params, { ...options, headers });
  };

  // The variables of a tab, with the ids of records that its viewer can see in the place of those that a person would
  // have to look for.
  const filled = async ({ query, variables, fill }) => {
    const found = { ...variables };
    if (fill) {
      const response = await fetch(settings.endpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...withToken(settings.token) },
        body: JSON.stringify({ query: fill }),
      });
      const { data } = await response.json();
      for (const [name, list] of Object.entries(data ?? {})) found[name] = list?.nodes?.[0]?.id ?? found[name];
    }
    return { query, variables: Object.keys(found).length ? JSON.stringify(found, null, 2) : undefined };
  };

  let tabs = [];

  const App = ({ fetcher }) => {
    // The Explorer plugin of this version wants the query as a controlled value.
    const [query, setQuery] = React.useState(undefined);
    const explorer = GraphiQLPluginExplorer.useExplorerPlugin({ query, onEdit: setQuery });
    return React.createElement(GraphiQL, {
      fetcher,
      query,
      onEditQuery: setQuery,
      plugins: [explorer],
      storage,
      defaultTabs: tabs.length ? tabs : undefined,
      defaultEditorToolsVisibility: "variables",
      shouldPersistHeaders: false, // a token in the Headers tab is not written to localStorage
    });
  };

  const render = () => {
    const fetcher = fetcherFor(tokenBox.value.trim().replace(/^bearer\s+/i, ""));
    ReactDOM.render(React.createElement(App, { fetcher }), container);
  };

  tokenBox.value = settings.token;
  tokenBox.addEventListener("change", render);
  document.getElementById("reset").addEventListener("click", () => {
    storage.clear();
    location.reload();
  });
  // Without a token nothing is found, and the tabs show what belongs in them.
  Promise.all(settings.tabs.map((tab) => filled(settings.token ? tab : { ...tab, fill: "" }).catch(() => ({ query: tab.query }))))
    .then((all) => {
      tabs = all;
      render();
    });
})();
