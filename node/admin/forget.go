package admin

import "net/http"

// forget gives a member up that will not come back. 409 says why it cannot be.
func (a *admin) forget(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("name")
	if name == "" {
		problem(w, http.StatusBadRequest, "whom? POST /v1/forget?name=NAME")
		return
	}
	if err := a.Node.Forget(name); err != nil {
		problem(w, http.StatusConflict, err.Error())
		return
	}
	writeJSON(w, http.StatusOK, map[string]string{"forgotten": name})
}
