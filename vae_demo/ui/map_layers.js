// What lies on a map besides its dots: contours, pictures near, what the plane decodes to, holes, the
// posterior of my digit. Shares the scope of map.js.
