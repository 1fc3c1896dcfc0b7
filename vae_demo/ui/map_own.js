// What a visitor brings: a projection of one's own, and pictures. Shares the scope of map.js.
