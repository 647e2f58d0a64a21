// Shows the depth of every lane on the index page, and keeps it fresh while the page is looked at.
(() => {
  const place = document.getElementById("lanes");
  if (!place) return;
  const every = 3000;
  const refresh = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(place.dataset.url, { credentials: "same-origin", redirect: "error" });
        if (answer.ok) place.innerHTML = await answer.text();
      } catch {
        // The next look tries again.
      }
    }
    setTimeout(refresh, every);
  };
  refresh();
})();
