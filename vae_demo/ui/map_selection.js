// The lasso, the gallery of what it caught, and what leaves the page. Shares the scope of map.js.
